"""Scatter in inference by PyTorch's operators: the warp, then sum and norm."""

import torch
from torch import Tensor

from gsm_plugin.ops.scatter_norm.interface import SumAndNorm
from gsm_plugin.ops.scatter_norm.naive import warp_then_sum


def scatter_norm_torch(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: SumAndNorm, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm`, arguments and result as described there."""
    return warp_then_sum(frames, aligned, flow, parameters, eps, dtype, 'torch')
