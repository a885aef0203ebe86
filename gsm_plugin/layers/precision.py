"""Precision under autocast: what products of matrices read, and where training does not follow autocast."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from gsm_plugin.switches import tf32


def precision_of_products(x: Tensor) -> torch.dtype:
    """Type in which a Linear gets x: that of autocast where it is on, else that of x."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def autocast_as_it_is(x: Tensor, cache_enabled: bool, dtype: torch.dtype | None = None) -> torch.autocast:
    """The autocast that is on where x is, if one is, with its cache of weights or without, if so to another type."""
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if dtype is None else dtype
    return torch.autocast(device, dtype, torch.is_autocast_enabled(device), cache_enabled)


@contextmanager
def ends_in_training(x: Tensor) -> Iterator[None]:
    """Where autocast is on, the precision of the first and last layers and of what all windows share.

    All gradients would show what they round, so they are float32, where PyTorch allows TF32 for convolutions without
    it.
    """
    device = x.device.type
    convolutions = tf32.convolutions.turned(False) if torch.is_autocast_enabled(device) else nullcontext()
    with torch.autocast(device, torch.float16, enabled=False, cache_enabled=False), convolutions:
        yield


@contextmanager
def float32_by_tf32(x: Tensor, *instead_of: torch.dtype) -> Iterator[torch.dtype | None]:
    """Where autocast is to one of some types, float32 instead, multiplied by TF32; gives that type.

    TF32 has the 11 bits of float16, and the range of bfloat16, whose 8 bits would show in single parameters' gradients.
    """
    dtype = precision_of_products(x)
    if not (torch.is_autocast_enabled(x.device.type) and dtype in instead_of):
        yield None
        return
    with torch.autocast(x.device.type, enabled=False), tf32.products.turned(True):
        yield dtype
