"""The rest of an attention block by products of matrices and other ops, some rows at a time."""

import torch
from torch import Tensor

from gsm_plugin.ops.gated_feed_forward.interface import FeedForward
from gsm_plugin.ops.gated_gelu.interface import gated_gelu
from gsm_plugin.ops.linear.interface import linear
from gsm_plugin.ops.residual_norm.interface import residual_layer_norm, residual_sum

# What is between is in memory for so many rows at a time; on a CPU, in its cache.
_ROWS_AT_ONCE, _ROWS_IN_CACHE = 2**17, 2**11


def gated_feed_forward_torch(
    x: Tensor, attended: Tensor, parameters: FeedForward, eps: float, dtype: torch.dtype, into: Tensor | None
) -> Tensor:
    """Computes `gated_feed_forward`, arguments and result as described there.

    Matrices are multiplied by PyTorch; what is between goes by the fastest backend of its op.
    """
    p = parameters
    gate_and_value, their_bias = torch.cat((p.gate, p.value)), torch.cat((p.gate_bias, p.value_bias))
    output = into if into is not None and into.is_contiguous() else empty_output(x, dtype)
    at_once = _ROWS_IN_CACHE if x.is_cpu else _ROWS_AT_ONCE
    rows = [tensor.reshape(-1, tensor.shape[-1]).split(at_once) for tensor in (x, attended, output)]
    for x_rows, attended_rows, output_rows in zip(*rows, strict=True):
        update = _product(attended_rows, p.proj, p.proj_bias, dtype)
        total, normed = residual_layer_norm(x_rows, update, None, p.norm, p.norm_bias, eps, dtype, into=output_rows)
        # one product of matrices reads the norm once, and leaves what the gate needs side by side
        gated = gated_gelu(_product(normed, gate_and_value, their_bias, dtype))
        if total.dtype == dtype:
            _product(gated, p.out, p.out_bias, dtype, onto=total)
        else:
            residual_sum(total, _product(gated, p.out, p.out_bias, dtype), None, into=total)
    return output if into is None or output is into else into.copy_(output)


def empty_output(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Memory for a result in the type of sums."""
    return torch.empty(x.shape, dtype=torch.promote_types(x.dtype, dtype), device=x.device)


def _product(x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, onto: Tensor | None = None) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return linear(x.to(dtype), weight.to(dtype), bias.to(dtype), onto=onto)
