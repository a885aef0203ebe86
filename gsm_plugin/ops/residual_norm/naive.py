"""Residual sum and layer norm as they are defined: the reference for the other backends."""

import torch
from torch import Tensor


def residual_norm_naive(
    x: Tensor,
    update: Tensor | None,
    scale: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Computes the sum (x itself without `update`) and its layer norm in `dtype` (None without `weight`)."""
    total = x
    if update is not None:
        total = torch.add(x if scale is None else scale * x, update, out=into)
    if weight is None or bias is None:
        return total, None
    wide = total.to(torch.promote_types(total.dtype, torch.float32))
    centred = wide - wide.mean(-1, keepdim=True)
    variance = (centred**2).mean(-1, keepdim=True)
    return total, (centred / torch.sqrt(variance + eps) * weight + bias).to(dtype)
