"""The query put together from the encoding of fractions and a product of matrices: the law, and forms for all types."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.fraction_encoding.naive import fraction_encoding_naive
from gsm_plugin.ops.fraction_encoding.torch_impl import fraction_encoding_torch


def encoded_query_naive(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query`, arguments and result as described there, by the definition of the encoding."""
    return composed(fraction_encoding_naive, target, flow, weight, bias, dtype)


def encoded_query_torch(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query` by PyTorch's operators."""
    return composed(fraction_encoding_torch, target, flow, weight, bias, dtype)


def composed(
    encode: Callable, target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """Computes `encoded_query` by an implementation of `fraction_encoding` and PyTorch's product of matrices."""
    with torch.autocast(target.device.type, enabled=False):
        return F.linear(encode(target, flow, dtype), weight.to(dtype), bias.to(dtype))
