"""Gather in inference by the warp that is compiled for a CPU, and PyTorch's layer norm."""

import torch
from torch import Tensor

from gsm_plugin.ops.gather_norm.interface import Cells
from gsm_plugin.ops.gather_norm.torch_impl import warp_then_norm


def gather_norm_numba(
    cells: Cells, num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm`, arguments and result as described there."""
    return warp_then_norm(cells, num_heads, frames, weight, bias, eps, dtype, 'numba')
