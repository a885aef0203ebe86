"""The inside of a bidirectional Mamba (Vision Mamba, arXiv 2401.09417): a convolution and a scan from each end."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, needs_mamba_ssm, needs_numba, needs_triton
from gsm_plugin.ops._common.shapes import check_shapes, check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'bidirectional_scan'


declare(
    OP,
    Backend('triton', 'convolution, projections, scan and gate in four kernels', needs_triton, UP_TO_FLOAT32),
    # before torch, which launches a kernel per step, for the GPUs that are too old for Triton's kernels
    Backend('mamba_ssm', 'a scan in one kernel', needs_mamba_ssm, UP_TO_FLOAT32),
    Backend('numba', 'loops compiled for this CPU, with a barrier a scan', needs_numba, UP_TO_FLOAT32),
    Backend('torch', 'a call for many steps, states are not kept'),
    Backend('naive', 'the definition'),
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


def bidirectional_scan(
    x: Tensor, z: Tensor, parameters: ScanParameters, backend: str = 'auto', kept: torch.dtype | None = None
) -> Tensor:
    """Scans a sequence from both ends and sums the results.

    Each direction computes `u = silu(conv(x))`, `dt, B, C = x_proj u`, `delta = softplus(dt_proj dt + dt_bias)`, and
    `selective_scan(u, delta, A, B, C, D)` gated by `silu(z)`; the second one does so on the reversed sequence.

    Args:
        x: Input, (b, l, d), channels-last; the last stride is 1.
        z: Gate, (b, l, d), likewise.
        parameters: See `ScanParameters`.
        backend: auto, triton, mamba_ssm, numba, torch or naive.
        kept: Type in which triton keeps what it computes for every step, and its gradients; None for x's. Half
            precision then rounds neither x nor z nor what is returned. The others have x's type or float32, whatever
            this is.

    Returns:
        (b, l, d), of x's type.

    Raises:
        ValueError: The shapes do not belong together, or a tensor is of whole numbers or on another device.
        RuntimeError: The named backend cannot run here.
    """
    _check(x, z, parameters)
    return compute(OP, backend, x, (x, z, parameters, kept)) if x.numel() else x * z


def _check(x: Tensor, z: Tensor, parameters: ScanParameters) -> None:
    """Refuses what kernels would read beyond; they trust shapes."""
    check_tensors([('x', x), ('z', z), *parameters._asdict().items()])
    if parameters.A.ndim != 3 or parameters.dt_proj.ndim != 3 or parameters.conv_weight.ndim != 3:
        own = ', '.join(f'{name} {tuple(getattr(parameters, name).shape)}' for name in ('A', 'dt_proj', 'conv_weight'))
        raise ValueError(f'The shapes are {own}; make them (2, d, n), (2, d, r) and (2, d, width).')
    d, n = parameters.A.shape[1:]
    rank, width = parameters.dt_proj.shape[2], max(1, parameters.conv_weight.shape[2])
    if x.ndim != 3 or x.shape[2] != d or z.shape != x.shape or parameters.x_proj.shape != (2, rank + 2 * n, d):
        raise ValueError(
            f'x has the shape {tuple(x.shape)} and z {tuple(z.shape)}; {d} channels, states of {n} and steps of rank '
            f'{rank} need (b, l, {d}) for both and x_proj of shape (2, {rank + 2 * n}, {d}).'
        )
    needed = (2, d, width), (2, d), parameters.x_proj.shape, (2, d, rank), (2, d), (2, d, n), (2, d)
    fields = zip(ScanParameters._fields, parameters, needed, strict=True)
    check_shapes(f'{d} channels and states of {n} need', fields)
