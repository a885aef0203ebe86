"""Precision under autocast, of what products of matrices read and of what sums are kept in."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from gsm_plugin.ops import tf32


def precision_of_products(x: Tensor) -> torch.dtype:
    """Type in which a Linear gets x: that of autocast where it is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def autocast_as_it_is(x: Tensor, cache_enabled: bool, dtype: torch.dtype | None = None) -> torch.autocast:
    """The autocast that is on where x is, if one is, with its cache of weights or without, if so to another type."""
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if dtype is None else dtype
    return torch.autocast(device, dtype, torch.is_autocast_enabled(device), cache_enabled)


def autocast_as_kept(x: Tensor) -> torch.autocast:
    """Autocast to the half precision that x is kept in, so that products read it as it is; else the one that is on."""
    if x.dtype.itemsize > 2:
        return autocast_as_it_is(x, torch.is_autocast_cache_enabled())
    # the cache would give weights in the precision in which they were cached
    return autocast_as_it_is(x, cache_enabled=False, dtype=x.dtype)


@contextmanager
def precision_of_ends(x: Tensor) -> Iterator[None]:
    """Where autocast is on, the precision of the first and last layers and of what all windows share.

    All gradients would show what they round, so training has them in float32, where PyTorch allows TF32 for
    convolutions without it; inference has them in float16, in which it keeps frames.
    """
    device = x.device.type
    on, trains = torch.is_autocast_enabled(device), torch.is_grad_enabled()
    convolutions = tf32.convolutions.turned(False) if on and trains else nullcontext()
    with torch.autocast(device, torch.float16, on and not trains, cache_enabled=False), convolutions:
        yield


@contextmanager
def tf32_in_training(x: Tensor, *instead_of: torch.dtype) -> Iterator[torch.dtype | None]:
    """Where training is under autocast to one of some types, float32 instead, multiplied by TF32; gives that type.

    TF32 has the 11 bits of float16, and the range of bfloat16, whose 8 bits would show in single parameters' gradients.
    """
    dtype = precision_of_products(x)
    if not (torch.is_grad_enabled() and torch.is_autocast_enabled(x.device.type) and dtype in instead_of):
        yield None
        return
    with torch.autocast(x.device.type, enabled=False), tf32.products.turned(True):
        yield dtype


def precision_of_sums(x: Tensor, parameter: Tensor) -> torch.dtype:
    """Type in which frames are kept that layers add to: what PyTorch makes of x and a parameter.

    In inference under autocast it is float16, of half the memory and traffic. Its 11 bits cut off less than products in
    bfloat16 do, which have 8.
    """
    if torch.is_autocast_enabled(x.device.type) and not torch.is_grad_enabled():
        return torch.float16
    return torch.promote_types(x.dtype, parameter.dtype)
