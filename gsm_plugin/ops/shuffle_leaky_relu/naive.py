"""Bias, pixel shuffle and LeakyReLU as they are defined: the reference for the other backends."""

import torch
from torch import Tensor


def shuffle_leaky_relu_naive(x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `shuffle_leaky_relu`, arguments and result as described there."""
    biased = x + bias[:, None, None]
    n, c, h, w = x.shape
    cells = biased.reshape(n, c // factor**2, factor, factor, h, w)
    shuffled = cells.permute(0, 1, 4, 2, 5, 3).reshape(n, c // factor**2, h * factor, w * factor)
    return torch.where(shuffled > 0, shuffled, slope * shuffled)
