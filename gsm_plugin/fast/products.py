"""Products of matrices into memory that is used again, on a CPU."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.ops import scratch


def product(x: Tensor, weight: Tensor, name: str) -> Tensor:
    """x (..., c) by a weight (m, c) -> (..., m), which holds until the next product of that name."""
    if not x.dtype == weight.dtype == precision_of_products(x):
        return F.linear(x, weight)
    result = scratch.empty(name, (*x.shape[:-1], len(weight)), x)
    torch.mm(x.reshape(-1, x.shape[-1]), weight.t(), out=result.view(-1, len(weight)))
    return result
