"""Residual sum and layer norm by PyTorch's own operators."""

import torch
from torch import Tensor
from torch.nn import functional as F


def residual_norm_torch(
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
    if weight is None:
        return total, None
    wide = total.to(weight.dtype) if total.dtype.itemsize < weight.dtype.itemsize else total
    return total, F.layer_norm(wide, wide.shape[-1:], weight, bias, eps).to(dtype)
