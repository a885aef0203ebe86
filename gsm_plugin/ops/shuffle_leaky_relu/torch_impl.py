"""Bias, pixel shuffle and LeakyReLU by PyTorch's own operators."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shuffle_leaky_relu_torch(x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `shuffle_leaky_relu`, arguments and result as described there."""
    x = x + bias.to(x.dtype)[:, None, None]
    if factor > 1:
        x = _pixel_shuffle(x, factor)
    return x if slope == 1 else F.leaky_relu(x, slope)


def _pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """A pixel shuffle that leaves channels last where they are."""
    if not x.is_contiguous(memory_format=torch.channels_last):
        return F.pixel_shuffle(x, factor)
    n, c, h, w = x.shape
    cells = x.permute(0, 2, 3, 1).reshape(n, h, w, c // factor**2, factor, factor)
    return cells.permute(0, 1, 4, 2, 5, 3).reshape(n, h * factor, w * factor, -1).permute(0, 3, 1, 2)
