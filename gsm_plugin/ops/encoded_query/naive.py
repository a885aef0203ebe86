"""The query by the definition of the encoding and a product of matrices: the reference."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.fraction_encoding.naive import fraction_encoding_naive


def encoded_query_naive(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query`, arguments and result as described there."""
    return projected(fraction_encoding_naive, F.linear, target, flow, weight, bias, dtype)


def projected(
    encode: Callable,
    multiply: Callable,
    target: Tensor,
    flow: Tensor,
    weight: Tensor,
    bias: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """Computes `encoded_query` by an implementation of `fraction_encoding` and one of a linear layer."""
    with torch.autocast(target.device.type, enabled=False):
        return multiply(encode(target, flow, dtype), weight.to(dtype), bias.to(dtype))
