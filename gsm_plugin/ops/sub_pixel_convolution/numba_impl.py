"""Sub-pixel convolution on a CPU by minimal filtering, F(2x2, 3x3) (arXiv 1509.09308), in bands of rows.

Four pixels of a result take 16 products instead of 36. They are products of matrices by PyTorch; what is before and
behind them is compiled by Numba. What a band has is in the cache from the first of these steps to the last.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.vectors import LANES
from gsm_plugin.ops.sub_pixel_convolution import numba_kernels

# Tiles of 2x2 pixels of a band, at most, but not less than a row of them.
_TILES = 256
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def sub_pixel_convolution_numba(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    (n, c, h, w), m = x.shape, len(weight) // factor**2
    # those of a pixel next to each other, and some of zeros, so that there are whole vectors
    by_pixel = weight.detach().reshape(m, factor**2, c, 9).permute(1, 0, 2, 3), bias.detach().view(m, -1).t()
    taps, own_bias = F.pad(by_pixel[0], (0, 0, 0, 0, 0, -m % LANES)), F.pad(by_pixel[1], (0, -m % LANES))
    factors = _spread_taps(taps.flatten(0, 1).unflatten(-1, (3, 3)))
    images, output = x.permute(0, 2, 3, 1).contiguous(), x.new_empty(n, h * factor, w * factor, m)
    for image, result in zip(images, output, strict=True):
        _convolve(image, factors, own_bias.flatten(), factor, slope, result)
    return output.permute(0, 3, 1, 2)


def _spread_taps(taps: Tensor) -> Tensor:
    """G g of both axes: (m, c, 3, 3) -> (16, c, m)."""
    matrix = taps.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    return (matrix @ taps @ matrix.t()).flatten(2).permute(2, 1, 0).contiguous()


def _convolve(image: Tensor, factors: Tensor, bias: Tensor, factor: int, slope: float, output: Tensor) -> None:
    """Convolves an image (h, w, c) by factors (16, c, factor**2 * m)."""
    (height, width, c), channels = image.shape, factors.shape[2]
    down, across = (height + 1) // 2, (width + 1) // 2
    if not output.numel():
        return
    rows = min(down, max(1, _TILES // across))
    # an odd number of tiles, so that the same tile of 16 matrices is not in the same few places of the nearest cache
    most = rows * across | 1
    spread, products = image.new_zeros(16 * most * c), image.new_empty(16 * most * channels)
    of_image, of_bias, of_output = (tensor.numpy() for tensor in (image, bias, output))
    for first in range(0, down, rows):
        last = min(first + rows, down)
        tiles = (last - first) * across | 1
        of_spread = spread[: 16 * tiles * c].view(16, tiles, c)
        of_products = products[: 16 * tiles * channels].view(16, tiles, channels)
        kernels.spread_tiles(of_image, first, last, of_spread.numpy())
        torch.bmm(of_spread, factors, out=of_products)
        kernels.gather_tiles(of_products.numpy(), of_bias, np.float32(slope), factor, first, last, width, of_output)
