"""Precision of inference under autocast, which keeps frames in float16."""

import torch
from torch import Tensor

from gsm_plugin.layers.precision import autocast_as_it_is


def autocast_as_kept(x: Tensor) -> torch.autocast:
    """Autocast to the half precision that x is kept in, so that products read it as it is; else the one that is on."""
    if x.dtype.itemsize > 2:
        return autocast_as_it_is(x, torch.is_autocast_cache_enabled())
    # the cache would give weights in the precision in which they were cached
    return autocast_as_it_is(x, cache_enabled=False, dtype=x.dtype)


def ends_in_inference(x: Tensor) -> torch.autocast:
    """Where autocast is on, the first and last layers and what all windows share are in float16, as frames are kept."""
    return autocast_as_it_is(x, cache_enabled=False, dtype=torch.float16)


def precision_of_sums(x: Tensor, parameter: Tensor) -> torch.dtype:
    """Type in which frames are kept that layers add to: what PyTorch makes of x and a parameter, or float16.

    Under autocast it is float16, of half the memory and traffic. Its 11 bits cut off less than products in bfloat16 do,
    which have 8.
    """
    if torch.is_autocast_enabled(x.device.type):
        return torch.float16
    return torch.promote_types(x.dtype, parameter.dtype)
