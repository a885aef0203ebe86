"""Gather in inference put together from the implicit warp and a layer norm: the law, and a form for all devices."""

import torch
from torch import Tensor

from gsm_plugin.ops.implicit_warp.interface import implicit_warp
from gsm_plugin.ops.residual_norm.interface import layer_norm


def gather_norm_naive(
    cells: tuple[Tensor, ...], num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm`, arguments and result as described there, by the definitions of its parts."""
    return _composed(cells, num_heads, frames, weight, bias, eps, dtype, 'naive', 'naive')


def gather_norm_torch(
    cells: tuple[Tensor, ...], num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm` by PyTorch's operators."""
    return _composed(cells, num_heads, frames, weight, bias, eps, dtype, 'torch', 'torch')


def gather_norm_numba(
    cells: tuple[Tensor, ...], num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm` by the warp that is compiled for a CPU, and PyTorch's layer norm."""
    return _composed(cells, num_heads, frames, weight, bias, eps, dtype, 'numba', 'torch')


def _composed(
    cells: tuple[Tensor, ...],
    num_heads: int,
    frames: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype,
    warp_backend: str,
    norm_backend: str,
) -> Tensor:
    aligned = implicit_warp(*cells, num_heads, warp_backend).unflatten(0, (-1, frames))
    return layer_norm(aligned.permute(0, 2, 3, 1, 4), weight, bias, eps, dtype, norm_backend)
