"""Precision under autocast, of what products of matrices read and of what sums are kept in."""

import torch
from torch import Tensor


def precision_of_products(x: Tensor) -> torch.dtype:
    """Type in which a Linear gets x: that of autocast where it is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def autocast_as_kept(x: Tensor) -> torch.autocast:
    """Autocast to the half precision that x is kept in, so that products read it as it is; else the one that is on."""
    device = x.device.type
    own, dtype = x.dtype.itemsize == 2, torch.get_autocast_dtype(device)
    # autocast's cache would give weights in the precision in which they were cached
    cache_enabled = torch.is_autocast_cache_enabled() and not own
    return torch.autocast(device, x.dtype if own else dtype, torch.is_autocast_enabled(device), cache_enabled)


def precision_of_sums(x: Tensor, parameter: Tensor) -> torch.dtype:
    """Type in which frames are kept that layers add to: what PyTorch makes of x and a parameter.

    In inference under autocast it is float16, of half the memory and traffic. Its 11 bits cut off less than products in
    bfloat16 do, which have 8.
    """
    if torch.is_autocast_enabled(x.device.type) and not torch.is_grad_enabled():
        return torch.float16
    return torch.promote_types(x.dtype, parameter.dtype)
