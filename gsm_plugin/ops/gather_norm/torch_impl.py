"""Gather in inference by PyTorch's operators: the warp, then the norm."""

import torch
from torch import Tensor

from gsm_plugin.ops.gather_norm.interface import Cells
from gsm_plugin.ops.implicit_warp.interface import implicit_warp
from gsm_plugin.ops.residual_norm.interface import layer_norm


def gather_norm_torch(
    cells: Cells, num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm`, arguments and result as described there."""
    aligned = implicit_warp(*cells, num_heads, 'torch').unflatten(0, (-1, frames))
    return layer_norm(aligned.permute(0, 2, 3, 1, 4), weight, bias, eps, dtype, 'torch')
