"""The inside of a bidirectional Mamba (Vision Mamba, arXiv 2401.09417): a convolution and a scan from each end."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, why_no_numba, why_no_triton
from gsm_plugin.ops.bidirectional_scan.composed import (
    bidirectional_scan_mamba_ssm,
    bidirectional_scan_naive,
    bidirectional_scan_torch,
    why_no_mamba_ssm,
)
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare

OP = 'bidirectional_scan'


def _triton(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...], kept: torch.dtype | None) -> Tensor:
    from gsm_plugin.ops.bidirectional_scan.triton_impl import bidirectional_scan_triton

    return bidirectional_scan_triton(x, z, parameters, kept)


def _numba(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    from gsm_plugin.ops.bidirectional_scan.numba_impl import bidirectional_scan_numba

    return bidirectional_scan_numba(x, z, parameters)


def _of_one_type(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A backend whose numbers of each step have x's type or float32, whatever type another one keeps them in."""
    return lambda x, z, parameters, kept: function(x, z, parameters)


declare(
    OP,
    (
        Backend(
            'triton', _triton, why_no_triton, 'convolution, projections, scan and gate in four kernels', UP_TO_FLOAT32
        ),
        # before torch, which launches a kernel per step, for the GPUs that are too old for Triton's kernels
        Backend(
            'mamba_ssm',
            _of_one_type(bidirectional_scan_mamba_ssm),
            why_no_mamba_ssm,
            'a scan in one kernel',
            UP_TO_FLOAT32,
        ),
        Backend(
            'numba',
            _of_one_type(_numba),
            why_no_numba,
            'loops compiled for this CPU, with a barrier a scan',
            UP_TO_FLOAT32,
        ),
        Backend(
            'torch', _of_one_type(bidirectional_scan_torch), anywhere, 'a call for many steps, states are not kept'
        ),
        Backend('naive', _of_one_type(bidirectional_scan_naive), anywhere, 'the definition'),
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
            precision then rounds neither x nor z nor what is returned.

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
    function = choose_backend(OP, backend, x.device.type, x.dtype).function
    return function(x, z, parameters, kept) if x.numel() else x * z
