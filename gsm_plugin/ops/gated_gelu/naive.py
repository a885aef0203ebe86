"""GEGLU's gate as it is defined: the reference for the other backends."""

import math

import torch
from torch import Tensor


def gated_gelu_naive(hidden: Tensor) -> Tensor:
    """Computes `gated_gelu`, argument and result as described there."""
    gate, value = hidden.chunk(2, -1)
    return gate * (1 + torch.erf(gate / math.sqrt(2))) / 2 * value
