"""The bidirectional scan put together from a convolution and a scan of one direction: the reference."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.half_precision import computing_type, round_to, saturate
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters
from gsm_plugin.ops.selective_scan.interface import selective_scan


def bidirectional_scan_naive(
    x: Tensor, z: Tensor, parameters: ScanParameters, kept: torch.dtype | None = None
) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there, step by step."""
    return in_full_precision(x, z, parameters, 'naive')


def in_full_precision(x: Tensor, z: Tensor, parameters: ScanParameters, scan_backend: str) -> Tensor:
    """Both directions in float32 at least; half-precision inputs, dt, B and C stay within what float16 can hold."""
    dtype = computing_type(x.dtype)

    def direction(x_: Tensor, z_: Tensor, own: ScanParameters) -> Tensor:
        n, rank = own.A.shape[1], own.dt_proj.shape[1]
        u = F.silu(convolve(x_, own.conv_weight, own.conv_bias))
        dt, B, C = saturate(own.x_proj @ u, x.dtype).split([rank, n, n], 1)
        y = selective_scan(
            u, own.dt_proj @ dt, own.A, B, C, own.D, z_, own.dt_bias, delta_softplus=True, backend=scan_backend
        )
        # the last state was not asked for
        assert isinstance(y, Tensor)
        return y

    with torch.autocast(x.device.type, enabled=False):
        x_, z_ = (saturate(value.to(dtype), x.dtype) for value in (x, z))
        wide = ScanParameters(*(parameter.to(dtype) for parameter in parameters))
        return round_to(both_directions(x_, z_, wide, direction), x.dtype)


def both_directions(
    x: Tensor, z: Tensor, parameters: ScanParameters, direction: Callable[[Tensor, Tensor, ScanParameters], Tensor]
) -> Tensor:
    """Sums what a function gives for each direction, from x and z (b, d, l) and parameters of its own.

    x and z are (b, l, d), as is the result.
    """
    x, z = x.transpose(1, 2), z.transpose(1, 2)
    forward, backward = (ScanParameters(*(both[i] for both in parameters)) for i in range(2))
    y = direction(x, z, forward) + direction(x.flip(2), z.flip(2), backward).flip(2)
    return y.transpose(1, 2)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Causal depthwise convolution: x (b, d, l), weight (d, width), bias (d)."""
    d, width = weight.shape
    return F.conv1d(F.pad(x, (width - 1, 0)), weight[:, None], bias, groups=d)
