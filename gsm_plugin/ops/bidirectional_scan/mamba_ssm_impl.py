"""The bidirectional scan by the packages mamba-ssm and, if it is there, causal-conv1d."""

from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters
from gsm_plugin.ops.bidirectional_scan.naive import both_directions, convolve


def bidirectional_scan_mamba_ssm(
    x: Tensor, z: Tensor, parameters: ScanParameters, kept: torch.dtype | None = None
) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there."""
    return both_directions(x, z, parameters, _direction)


def _direction(x: Tensor, z: Tensor, own: ScanParameters) -> Tensor:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    dtype, n, rank = x.dtype, own.A.shape[1], own.dt_proj.shape[1]
    if find_spec('causal_conv1d') is not None:
        from causal_conv1d import causal_conv1d_fn

        u = causal_conv1d_fn(x.contiguous(), own.conv_weight.to(dtype), own.conv_bias.to(dtype), activation='silu')
    else:
        u = F.silu(convolve(x, own.conv_weight.to(dtype), own.conv_bias.to(dtype)))
    dt, B, C = (part.contiguous() for part in (own.x_proj.to(dtype) @ u).split([rank, n, n], 1))
    delta = own.dt_proj.to(dtype) @ dt
    # It takes these in float32 alone, and with rows that are contiguous in time.
    A, D, dt_bias = own.A.float(), own.D.float(), own.dt_bias.float()
    return selective_scan_fn(u, delta, A, B, C, D, z.contiguous(), dt_bias, delta_softplus=True)
