"""Two convolutions on a CPU as one of 5x5 taps, which PyTorch multiplies and a kernel of Numba adds up."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.successive_convolutions import numba_kernels
from gsm_plugin.ops.successive_convolutions.torch_impl import successive_convolutions_torch

# Of a band of rows, at most, but not less than a row: what is multiplied, and the products, are in the cache.
_PIXELS = 2048
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def successive_convolutions_numba(
    x: Tensor, inner_weight: Tensor, inner_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor
) -> Tensor:
    """Computes `successive_convolutions`, arguments and result as described there."""
    inner_weight, inner_bias, weight, bias = (p.detach() for p in (inner_weight, inner_bias, weight, bias))
    taps, shift = _merge(inner_weight, inner_bias, weight, bias)
    output = (images + shift[:, None, None]).contiguous()
    if not output.numel():
        return output
    for image, sums in zip(x.permute(0, 2, 3, 1).contiguous(), output, strict=True):
        _add(image, taps, sums)
    # beyond the border, what is convolved again is zero, not what the first convolution makes of zeros
    for axis in (2, 3):
        for at, strip in ((0, slice(None, 3)), (-1, slice(-3, None))):
            near = *[slice(None)] * axis, strip
            own = successive_convolutions_torch(x[near], inner_weight, inner_bias, weight, bias, images[near])
            output.select(axis, at).copy_(own.select(axis, at))
    return output


def _merge(inner_weight: Tensor, inner_bias: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Taps (5 * 5 * colours, c) of the convolution that both are together, and what is added to each colour."""
    wide, inner = weight.double(), inner_weight.double()
    # each tap of the one behind each tap of the other: (c, colours, 5, 5)
    both = F.conv2d(inner.transpose(0, 1), wide.flip(2, 3), padding=2)
    shift = bias.double() + wide.sum((2, 3)) @ inner_bias.double()
    return both.permute(2, 3, 1, 0).flatten(0, 2).to(weight.dtype), shift.to(bias.dtype)


def _add(image: Tensor, taps: Tensor, sums: Tensor) -> None:
    """Adds what an image (h, w, c) gives to colours (colours, h, w)."""
    height, width, channels = image.shape
    rows = max(1, _PIXELS // width)
    memory = image.new_empty(len(taps), min(rows, height) * width)
    for first in range(0, height, rows):
        band = image[first : first + rows]
        products = memory[:, : len(band) * width]
        torch.mm(taps, band.view(-1, channels).t(), out=products)
        kernels.add_taps(products.numpy(), first, len(band), sums.numpy())
