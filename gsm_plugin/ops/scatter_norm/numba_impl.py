"""Scatter in inference on a CPU, by a kernel of Numba that warps, adds and normalises pixel by pixel."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.scatter_norm import numba_kernels
from gsm_plugin.ops.scatter_norm.interface import SumAndNorm

# Of a frame, in a piece of work.
_ROWS = 16
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def scatter_norm_numba(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: SumAndNorm, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm`, arguments and result as described there."""
    b, k, h, _, _ = frames.shape
    normed = scratch.empty('scatter_norm.normed', tuple(frames.shape), frames)
    aligned, flow = aligned if aligned.stride(-1) == 1 else aligned.contiguous(), flow.contiguous()
    own = [parameter.detach().contiguous().numpy() for parameter in parameters]
    calls = (
        partial(
            kernels.add_norm,
            *(of[clip, i].numpy() for of in (frames, aligned, flow)),
            *(*own, eps, first, min(first + _ROWS, h), normed[clip, i].numpy()),
        )
        for clip in range(b)
        for i in range(k)
        for first in range(0, h, _ROWS)
    )
    # four neighbours, the sums, and the norm
    share(calls, 12 * frames.numel())
    return normed
