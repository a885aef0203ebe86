"""The rest of an attention block by the definitions of its parts: the reference."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.gated_feed_forward.interface import FeedForward
from gsm_plugin.ops.gated_gelu.naive import gated_gelu_naive
from gsm_plugin.ops.residual_norm.naive import residual_norm_naive


def gated_feed_forward_naive(
    x: Tensor, attended: Tensor, parameters: FeedForward, eps: float, dtype: torch.dtype, into: Tensor | None
) -> Tensor:
    """Computes `gated_feed_forward`, arguments and result as described there."""
    p = FeedForward(*(parameter.to(dtype) if parameter.ndim == 2 else parameter for parameter in parameters))
    with torch.autocast(x.device.type, enabled=False):
        update = F.linear(attended.to(dtype), p.proj, p.proj_bias.to(dtype))
        total, normed = residual_norm_naive(x, update, None, p.norm, p.norm_bias, eps, dtype)
        # there is a weight of the norm
        assert normed is not None
        gate = F.linear(normed, p.gate, p.gate_bias.to(dtype))
        value = F.linear(normed, p.value, p.value_bias.to(dtype))
        gated = gated_gelu_naive(torch.cat((gate, value), -1))
        output = total + F.linear(gated, p.out, p.out_bias.to(dtype))
    return output if into is None else into.copy_(output)
