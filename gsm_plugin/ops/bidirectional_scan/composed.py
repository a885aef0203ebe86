"""The bidirectional scan put together from a convolution and a scan of one direction: the law, and two fast forms."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.half_precision import computing_type, round_to, saturate
from gsm_plugin.ops.selective_scan.interface import selective_scan


def bidirectional_scan_naive(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there, step by step."""
    return _in_full_precision(x, z, parameters, 'naive')


def bidirectional_scan_torch(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan` with PyTorch's convolution and the fast scan."""
    return _in_full_precision(x, z, parameters, 'torch')


def bidirectional_scan_mamba_ssm(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    """Computes `bidirectional_scan` with the packages mamba-ssm and, if it is there, causal-conv1d."""
    return _both_directions(x, z, parameters, _direction_of_mamba_ssm)


def why_no_mamba_ssm(device_type: str) -> str | None:
    """Why mamba-ssm cannot run on a device type, or None where it can; does not import it."""
    if device_type != 'cuda':
        return f'mamba-ssm runs on CUDA devices, not on {device_type}'
    if find_spec('mamba_ssm') is None:
        return 'mamba-ssm is not installed'
    if find_spec('selective_scan_cuda') is None:
        return 'mamba-ssm is installed without its CUDA extension'
    if torch.are_deterministic_algorithms_enabled():
        return 'mamba-ssm adds gradients in no fixed order, and deterministic algorithms are asked for'
    return None


def _both_directions(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...], direction: Callable[..., Tensor]) -> Tensor:
    x, z = x.transpose(1, 2), z.transpose(1, 2)
    forward, backward = (tuple(both[i] for both in parameters) for i in range(2))
    y = direction(x, z, *forward) + direction(x.flip(2), z.flip(2), *backward).flip(2)
    return y.transpose(1, 2)


def _in_full_precision(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...], scan_backend: str) -> Tensor:
    """Both directions in float32 at least; half-precision inputs, B and C stay within what float16 can hold."""
    dtype = computing_type(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        x_, z_ = (saturate(value.to(dtype), x.dtype) for value in (x, z))
        wide = tuple(parameter.to(dtype) for parameter in parameters)
        y = _both_directions(x_, z_, wide, lambda *arguments: _direction(*arguments, scan_backend, x.dtype))
        return round_to(y, x.dtype)


def _direction(
    x: Tensor,
    z: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    scan_backend: str,
    input_type: torch.dtype,
) -> Tensor:
    """One direction: x and z (b, d, l) -> (b, d, l)."""
    n = A.shape[1]
    u = F.silu(_convolve(x, conv_weight, conv_bias))
    dt, B, C = saturate(x_proj @ u, input_type).split([dt_proj.shape[1], n, n], 1)
    return selective_scan(u, dt_proj @ dt, A, B, C, D, z, dt_bias, delta_softplus=True, backend=scan_backend)


def _direction_of_mamba_ssm(
    x: Tensor,
    z: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
) -> Tensor:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    dtype, n = x.dtype, A.shape[1]
    if find_spec('causal_conv1d') is not None:
        from causal_conv1d import causal_conv1d_fn

        u = causal_conv1d_fn(x.contiguous(), conv_weight.to(dtype), conv_bias.to(dtype), activation='silu')
    else:
        u = F.silu(_convolve(x, conv_weight.to(dtype), conv_bias.to(dtype)))
    dt, B, C = (part.contiguous() for part in (x_proj.to(dtype) @ u).split([dt_proj.shape[1], n, n], 1))
    delta = dt_proj.to(dtype) @ dt
    # It takes these in float32 alone, and with rows that are contiguous in time.
    A, D, dt_bias = (parameter.float() for parameter in (A, D, dt_bias))
    return selective_scan_fn(u, delta, A, B, C, D, z.contiguous(), dt_bias, delta_softplus=True)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    d, width = weight.shape
    return F.conv1d(F.pad(x, (width - 1, 0)), weight[:, None], bias, groups=d)
