"""Two convolutions on a CPU as one of 5x5 taps, which PyTorch multiplies and a kernel of Numba adds up."""

from itertools import product
from typing import Any

import torch
from torch import Tensor

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
        strips, colours = (_ends(tensor, axis) for tensor in (x, images))
        convolved = successive_convolutions_torch(strips, inner_weight, inner_bias, weight, bias, colours)
        first, last = convolved.chunk(2)
        output.select(axis, 0).copy_(first.select(axis, 0))
        output.select(axis, -1).copy_(last.select(axis, -1))
    return output


def _ends(images: Tensor, axis: int) -> Tensor:
    """The first three pixels of images along an axis, and the last three, (2 n, ...)."""
    near = min(3, images.shape[axis])
    return torch.cat((images.narrow(axis, 0, near), images.narrow(axis, -near, near)))


def _merge(inner_weight: Tensor, inner_bias: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Taps (5 * 5 * colours, c) of the convolution that both are together, and what is added to each colour."""
    (m, c), colours = inner_weight.shape[:2], len(weight)
    outer, inner = weight.double().permute(2, 3, 0, 1), inner_weight.double().permute(0, 2, 3, 1)
    # each tap of the one behind each tap of the other
    pairs = (outer.reshape(-1, m) @ inner.reshape(m, -1)).view(3, 3, colours, 3, 3, c).permute(0, 1, 3, 4, 2, 5)
    taps = pairs.new_zeros(5, 5, colours, c)
    for i, j in product(range(3), repeat=2):
        taps[i : i + 3, j : j + 3] += pairs[i, j]
    shift = bias.double() + outer.sum((0, 1)) @ inner_bias.double()
    return taps.flatten(0, 2).to(weight.dtype), shift.to(bias.dtype)


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
