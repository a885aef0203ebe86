"""Depthwise convolution and GELU as they are defined: the reference for the other backends."""

from itertools import product

from torch import Tensor
from torch.nn import functional as F


def depthwise_conv_gelu_naive(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Computes `depthwise_conv_gelu`, arguments and result as described there, as a sum over 27 shifted copies."""
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    t, h, w = x.shape[1:4]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1, 1, 1))
    total = bias.expand_as(x)
    for i, j, k in product(range(3), repeat=3):
        total = total + padded[:, i : i + t, j : j + h, k : k + w] * weight[:, i, j, k]
    return F.gelu(total)
