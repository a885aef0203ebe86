"""Minimal filtering, F(2x2, 3x3), for a CPU, compiled by Numba, of vectors of channels."""

import numpy as np

from gsm_plugin.ops._common.exponentials import exact, inlined
from gsm_plugin.ops._common.vectors import LANES, at_least, at_most, load, load_some, spread, store_some

_ZERO = np.float32(0)


@exact
def spread_tiles(image, first, last, factors):
    """What is multiplied, of some rows of tiles, each of the 4x4 pixels around 2x2 of the result.

    Args:
        image: (h, w, c), contiguous.
        first: The first row of tiles.
        last: The one behind the last row.
        factors: (16, tiles, c), contiguous, the tiles of the rows one after the other.
    """
    height, width, channels = image.shape
    across = (width + 1) // 2
    for row in range(first, last):
        for column in range(across):
            tile = (row - first) * across + column
            # by constants, so that the compiler makes one that asks nothing
            if 0 < row < height // 2 - 1 and 0 < column < width // 2 - 1 and channels % LANES == 0:
                for own in range(0, channels, LANES):
                    _spread_tile(image, row, column, own, LANES, True, tile, factors)
            else:
                for own in range(0, channels, LANES):
                    _spread_tile(image, row, column, own, min(LANES, channels - own), False, tile, factors)


@inlined
def _spread_tile(image, row, column, own, count, inside, tile, factors):
    y, x, plane = 2 * row - 1, 2 * column - 1, factors.shape[1] * factors.shape[2]
    a0, a1, a2, a3 = _column(image, y, x, own, count, inside)
    b0, b1, b2, b3 = _column(image, y, x + 1, own, count, inside)
    c0, c1, c2, c3 = _column(image, y, x + 2, own, count, inside)
    d0, d1, d2, d3 = _column(image, y, x + 3, own, count, inside)
    goal = tile * factors.shape[2] + own
    _store_row(factors, goal, plane, a0, b0, c0, d0, count)
    _store_row(factors, goal + 4 * plane, plane, a1, b1, c1, d1, count)
    _store_row(factors, goal + 8 * plane, plane, a2, b2, c2, d2, count)
    _store_row(factors, goal + 12 * plane, plane, a3, b3, c3, d3, count)


@inlined
def _column(image, row, column, own, count, inside):
    """Four pixels of a column, combined."""
    p0, p1 = _pixel(image, row, column, own, count, inside), _pixel(image, row + 1, column, own, count, inside)
    p2, p3 = _pixel(image, row + 2, column, own, count, inside), _pixel(image, row + 3, column, own, count, inside)
    return p0 - p2, p1 + p2, p2 - p1, p1 - p3


@inlined
def _pixel(image, row, column, own, count, inside):
    height, width, channels = image.shape
    if inside or (0 <= row < height and 0 <= column < width):
        return load_some(image, (row * width + column) * channels + own, count)
    return spread(_ZERO)


@inlined
def _store_row(factors, first, step, p0, p1, p2, p3, count):
    store_some(factors, first, p0 - p2, count)
    store_some(factors, first + step, p1 + p2, count)
    store_some(factors, first + 2 * step, p2 - p1, count)
    store_some(factors, first + 3 * step, p1 - p3, count)


@exact
def gather_tiles(products, bias, slope, factor, first, last, width, output):
    """Pixels of the result from products, with bias, pixel shuffle and LeakyReLU.

    Args:
        products: (16, tiles, factor**2 * m), m a multiple of `LANES`, contiguous, tiles as in `spread_tiles`.
        bias: (factor**2 * m,), contiguous.
        slope: Of the LeakyReLU.
        factor: Of the pixel shuffle.
        first: The first row of tiles.
        last: The one behind the last row.
        width: Of the image before the pixel shuffle.
        output: (h * factor, w * factor, channels), contiguous, up to m channels.
    """
    across, all_channels = (width + 1) // 2, products.shape[2]
    own_of, m = products.shape[1] * all_channels, all_channels // factor**2
    for row in range(first, last):
        for column in range(across):
            tile = ((row - first) * across + column) * all_channels
            for own in range(0, all_channels, LANES):
                pixel, channel = own // m, own % m
                a0, a1 = _row_of(products, tile + own, own_of)
                b0, b1 = _row_of(products, tile + own + 4 * own_of, own_of)
                c0, c1 = _row_of(products, tile + own + 8 * own_of, own_of)
                d0, d1 = _row_of(products, tile + own + 12 * own_of, own_of)
                y, x, shift = 2 * row * factor + pixel // factor, 2 * column * factor + pixel % factor, load(bias, own)
                _put(a0 + b0 + c0 + shift, slope, y, x, channel, output)
                _put(a1 + b1 + c1 + shift, slope, y, x + factor, channel, output)
                _put(b0 - c0 - d0 + shift, slope, y + factor, x, channel, output)
                _put(b1 - c1 - d1 + shift, slope, y + factor, x + factor, channel, output)


@inlined
def _row_of(products, first, step):
    p1, p2 = load(products, first + step), load(products, first + 2 * step)
    return load(products, first) + p1 + p2, p1 - p2 - load(products, first + 3 * step)


@inlined
def _put(value, slope, y, x, channel, output):
    """Writes a pixel that there is."""
    height, width, channels = output.shape
    if y < height and x < width and channel < channels:
        value = at_least(value, _ZERO) + at_most(value, _ZERO) * slope
        store_some(output, (y * width + x) * channels + channel, value, min(LANES, channels - channel))
