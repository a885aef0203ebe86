"""Sub-pixel convolution on a CPU by minimal filtering, F(4x4, 3x3) (arXiv 1509.09308), in bands of rows.

Sixteen pixels of a result take 36 products instead of 144. They are products of matrices by PyTorch; what is before and
behind them is compiled by Numba. What a band has is in the cache from the first of these steps to the last.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.vectors import LANES
from gsm_plugin.ops.sub_pixel_convolution import numba_kernels

# Tiles of 4x4 pixels of a band, at most, but not less than a row of them.
_TILES = 64
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def sub_pixel_convolution_numba(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    (n, c, h, w), m = x.shape, len(weight) // factor**2
    # those of a pixel next to each other, and some of zeros, so that there are whole vectors
    by_pixel = weight.detach().reshape(m, factor**2, c, 9).permute(1, 0, 2, 3), bias.detach().view(m, -1).t()
    taps, own_bias = F.pad(by_pixel[0], (0, 0, 0, 0, 0, -m % LANES)), F.pad(by_pixel[1], (0, -m % LANES))
    factors = _spread_taps(taps.flatten(0, 1).unflatten(-1, (3, 3)))
    output = x.new_empty(n, h * factor, w * factor, m)
    if output.numel():
        _convolve(x.permute(0, 2, 3, 1).contiguous(), factors, own_bias.flatten(), factor, slope, output)
    return output.permute(0, 3, 1, 2)


def _spread_taps(taps: Tensor) -> Tensor:
    """G g of both axes: (m, c, 3, 3) -> (36, c, m)."""
    return (of_taps(taps) @ taps.permute(2, 3, 1, 0).reshape(9, -1)).view(-1, *taps.shape[1::-1])


def of_taps(like: Tensor) -> Tensor:
    """The matrix that spreads 3x3 taps over the products of a tile, (36, 9)."""
    rows = (15, 0, 0), (-5, -5, -5), (5, -5, 5), (1, 2, 4), (-16, 8, -4), (0, 0, 15)
    matrix = like.new_tensor(rows, dtype=torch.float64) / 15
    return torch.kron(matrix, matrix).to(like.dtype)


def _convolve(images: Tensor, factors: Tensor, bias: Tensor, factor: int, slope: float, output: Tensor) -> None:
    """Convolves images (n, h, w, c) by factors (36, c, factor**2 * m)."""
    (n, height, width, c), (count, _, channels) = images.shape, factors.shape
    down, across = (-(-side // kernels.PIXELS) for side in (height, width))
    rows = min(n * down, max(1, _TILES // across))
    # an odd number of tiles, so that the same tile of 36 matrices is not in the same few places of the nearest cache
    most = rows * across | 1
    spread, products = images.new_zeros(count * most * c), images.new_empty(count * most * channels)
    of_images, of_bias, of_output = (tensor.numpy() for tensor in (images, bias, output))
    for first in range(0, n * down, rows):
        last = min(first + rows, n * down)
        tiles = (last - first) * across | 1
        of_spread = spread[: count * tiles * c].view(count, tiles, c)
        of_products = products[: count * tiles * channels].view(count, tiles, channels)
        kernels.spread_tiles(of_images, first, last, of_spread.numpy())
        torch.bmm(of_spread, factors, out=of_products)
        kernels.gather_tiles(of_products.numpy(), of_bias, np.float32(slope), factor, first, last, width, of_output)
