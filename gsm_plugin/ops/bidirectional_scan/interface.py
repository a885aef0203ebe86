"""The inside of a bidirectional Mamba (Vision Mamba, arXiv 2401.09417): a convolution and a scan from each end."""

from typing import NamedTuple

from torch import Tensor

from gsm_plugin.ops.bidirectional_scan.composed import bidirectional_scan_naive, bidirectional_scan_torch
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare

OP = 'bidirectional_scan'

declare(
    OP,
    (
        Backend('torch', bidirectional_scan_torch, anywhere, 'one call per step, states are not kept'),
        Backend('naive', bidirectional_scan_naive, anywhere, 'the definition'),
    ),
)


class ScanParameters(NamedTuple):
    """Parameters of both directions, the forward one first.

    Attributes:
        conv_weight: Causal depthwise convolution, (2, d, width).
        conv_bias: (2, d).
        x_proj: Projection to step, B and C, (2, r + 2 n, d), with r the rank of the step and n the size of the state.
        dt_proj: Projection of the step to the channels, (2, d, r).
        dt_bias: (2, d).
        A: Continuous-time decay, (2, d, n), negative.
        D: Skip connection, (2, d).
    """

    conv_weight: Tensor
    conv_bias: Tensor
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    A: Tensor
    D: Tensor


def bidirectional_scan(x: Tensor, z: Tensor, parameters: ScanParameters, backend: str = 'auto') -> Tensor:
    """Scans a sequence from both ends and sums the results.

    Each direction computes `u = silu(conv(x))`, `dt, B, C = x_proj u`, `delta = softplus(dt_proj dt + dt_bias)`, and
    `selective_scan(u, delta, A, B, C, D)` gated by `silu(z)`; the second one does so on the reversed sequence.

    Args:
        x: Input, (b, l, d), channels-last; the last stride is 1.
        z: Gate, (b, l, d), likewise.
        parameters: See `ScanParameters`.
        backend: auto, torch or naive.

    Returns:
        (b, l, d), of x's type.

    Raises:
        ValueError: The shapes do not belong together.
        RuntimeError: The named backend cannot run here.
    """
    d, n = parameters.A.shape[1:]
    rank = parameters.dt_proj.shape[2]
    if x.ndim != 3 or x.shape[2] != d or z.shape != x.shape or parameters.x_proj.shape != (2, rank + 2 * n, d):
        raise ValueError(
            f'x has the shape {tuple(x.shape)} and z {tuple(z.shape)}; {d} channels, states of {n} and steps of rank '
            f'{rank} need (b, l, {d}) for both and x_proj of shape (2, {rank + 2 * n}, {d}).'
        )
    return choose_backend(OP, backend, x.device.type).function(x, z, parameters)
