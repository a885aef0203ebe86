"""The query by PyTorch's operators."""

import torch
from torch import Tensor

from gsm_plugin.ops.encoded_query.naive import projected
from gsm_plugin.ops.fraction_encoding.torch_impl import fraction_encoding_torch
from gsm_plugin.ops.linear.interface import linear


def encoded_query_torch(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query`, arguments and result as described there."""
    return projected(fraction_encoding_torch, linear, target, flow, weight, bias, dtype)
