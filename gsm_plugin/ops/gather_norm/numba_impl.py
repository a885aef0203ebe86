"""Gather in inference by a kernel of Numba, which attends and normalises pixel by pixel."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.gather_norm import numba_kernels
from gsm_plugin.ops.gather_norm.interface import Cells

# Of a frame, in a piece of work.
_ROWS = 16
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def gather_norm_numba(
    cells: Cells, num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm`, arguments and result as described there; half precision in float32."""
    n, h, w, c = cells.query.shape
    query, key, value, flow, *positions = (x.float().contiguous() for x in cells)
    output = scratch.empty('gather_norm.output', (n // frames, h, w, frames, c), query)
    norm = weight.float().contiguous().numpy(), bias.float().contiguous().numpy(), eps
    own = *(x.numpy() for x in (query, key, value, *positions, flow)), num_heads, *norm
    calls = (
        partial(kernels.attend_norm, *own, i, frames, first, min(first + _ROWS, h), output.numpy())
        for i in range(n)
        for first in range(0, h, _ROWS)
    )
    # products of queries with the keys of four neighbours, and of their weights with the values
    share(calls, 8 * output.numel())
    return output.to(dtype)
