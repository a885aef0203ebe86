"""Precision of autocast, for ops that write what a product of matrices reads."""

import torch
from torch import Tensor


def precision_of_products(x: Tensor) -> torch.dtype:
    """Type in which a Linear gets x: that of autocast where it is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
