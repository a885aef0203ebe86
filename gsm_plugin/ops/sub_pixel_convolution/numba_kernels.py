"""Minimal filtering, F(4x4, 3x3), for a CPU, compiled by Numba, of vectors of channels.

The points of its polynomials are 0, 1, -1, 2, -1/2 and infinity, which of those with short factors round least. Images
are channels last. Rows of tiles are counted through all images.
"""

import numpy as np

from gsm_plugin.ops._common.compiling import exact, inlined
from gsm_plugin.ops._common.vectors import LANES, at_least, at_most, load, load_some, spread, store, store_some

# Pixels of a result along a side of a tile, and those that they are made of.
PIXELS, SEEN = 4, 6
_ZERO = np.float32(0)
_EIGHTH, _QUARTER, _HALF = np.float32(0.125), np.float32(0.25), np.float32(0.5)
_THREE_HALVES, _FIVE_HALVES = np.float32(1.5), np.float32(2.5)
_TWO, _FOUR, _EIGHT = np.float32(2), np.float32(4), np.float32(8)


@exact
def spread_tiles(images, first, last, factors):
    """What is multiplied, of some rows of tiles, each of the 6x6 pixels around 4x4 of the result.

    Args:
        images: (n, h, w, c), contiguous.
        first: The first row of tiles.
        last: The one behind the last row.
        factors: (36, tiles, c), contiguous, the tiles of the rows one after the other.
    """
    _, height, width, channels = images.shape
    down, across = -(-height // PIXELS), -(-width // PIXELS)
    columns = np.empty((SEEN, SEEN, LANES), np.float32)
    for row in range(first, last):
        for column in range(across):
            tile, of_image = (row - first) * across + column, row % down
            image, y, x = row // down, PIXELS * of_image - 1, PIXELS * column - 1
            # by constants, so that the compiler makes one that asks nothing
            if of_image > 0 and y + SEEN <= height and column > 0 and x + SEEN <= width and channels % LANES == 0:
                for own in range(0, channels, LANES):
                    _spread_tile(images, image, y, x, own, LANES, True, tile, columns, factors)
            else:
                for own in range(0, channels, LANES):
                    _spread_tile(images, image, y, x, own, min(LANES, channels - own), False, tile, columns, factors)


@inlined
def _spread_tile(images, image, y, x, own, count, inside, tile, columns, factors):
    plane = factors.shape[1] * factors.shape[2]
    goal = tile * factors.shape[2] + own
    for j in range(SEEN):
        t0, t1, t2, t3, t4, t5 = _spread(
            _pixel(images, image, y, x + j, own, count, inside),
            _pixel(images, image, y + 1, x + j, own, count, inside),
            _pixel(images, image, y + 2, x + j, own, count, inside),
            _pixel(images, image, y + 3, x + j, own, count, inside),
            _pixel(images, image, y + 4, x + j, own, count, inside),
            _pixel(images, image, y + 5, x + j, own, count, inside),
        )
        _store_line(columns, j * LANES, SEEN * LANES, t0, t1, t2, t3, t4, t5, LANES)
    for i in range(SEEN):
        t0, t1, t2, t3, t4, t5 = _spread(*_load_line(columns, i * SEEN * LANES, LANES))
        _store_line(factors, goal + i * SEEN * plane, plane, t0, t1, t2, t3, t4, t5, count)


@inlined
def _pixel(images, image, row, column, own, count, inside):
    _, height, width, channels = images.shape
    if inside or (0 <= row < height and 0 <= column < width):
        return load_some(images, ((image * height + row) * width + column) * channels + own, count)
    return spread(_ZERO)


@inlined
def _spread(d0, d1, d2, d3, d4, d5):
    """Six pixels of a line, combined."""
    a, b = d4 - d2, d3 - d1
    t0 = d0 + d4 - d2 * _TWO - b * _THREE_HALVES
    t1 = d4 - d1 - d3 * _HALF - d2 * _FIVE_HALVES
    t2 = d4 + d1 + d2 * _HALF - d3 * _FIVE_HALVES
    t5 = d1 + d5 - d3 * _TWO - a * _THREE_HALVES
    return t0, t1, t2, a + b * _HALF, a - b * _TWO, t5


@inlined
def _load_line(source, first, step):
    t0, t1, t2 = load(source, first), load(source, first + step), load(source, first + 2 * step)
    return t0, t1, t2, load(source, first + 3 * step), load(source, first + 4 * step), load(source, first + 5 * step)


@inlined
def _store_line(goal, first, step, t0, t1, t2, t3, t4, t5, count):
    store_some(goal, first, t0, count)
    store_some(goal, first + step, t1, count)
    store_some(goal, first + 2 * step, t2, count)
    store_some(goal, first + 3 * step, t3, count)
    store_some(goal, first + 4 * step, t4, count)
    store_some(goal, first + 5 * step, t5, count)


@exact
def gather_tiles(products, bias, slope, factor, first, last, width, output):
    """Pixels of the result from products, with bias, pixel shuffle and LeakyReLU.

    Args:
        products: (36, tiles, factor**2 * m), m a multiple of `LANES`, contiguous, tiles as in `spread_tiles`.
        bias: (factor**2 * m,), contiguous.
        slope: Of the LeakyReLU.
        factor: Of the pixel shuffle.
        first: The first row of tiles.
        last: The one behind the last row.
        width: Of an image before the pixel shuffle.
        output: (n, h * factor, w * factor, channels), contiguous, up to m channels.
    """
    height, all_channels = output.shape[1] // factor, products.shape[2]
    down, across = -(-height // PIXELS), -(-width // PIXELS)
    plane, m = products.shape[1] * all_channels, all_channels // factor**2
    columns = np.empty((PIXELS, SEEN, LANES), np.float32)
    for row in range(first, last):
        image, y = row // down, row % down * PIXELS
        rows = min(PIXELS, height - y)
        for column in range(across):
            tile, x = ((row - first) * across + column) * all_channels, column * PIXELS
            for own in range(0, all_channels, LANES):
                for j in range(SEEN):
                    p0, p1, p2, p3 = _gather(*_load_line(products, tile + own + j * plane, SEEN * plane))
                    store(columns, j * LANES, p0)
                    store(columns, (SEEN + j) * LANES, p1)
                    store(columns, (2 * SEEN + j) * LANES, p2)
                    store(columns, (3 * SEEN + j) * LANES, p3)
                pixel, channel, shift = own // m, own % m, load(bias, own)
                top, left = y * factor + pixel // factor, x * factor + pixel % factor
                for i in range(rows):
                    p0, p1, p2, p3 = _gather(*_load_line(columns, i * SEEN * LANES, LANES))
                    _put(p0 + shift, slope, image, top + i * factor, left, channel, output)
                    _put(p1 + shift, slope, image, top + i * factor, left + factor, channel, output)
                    _put(p2 + shift, slope, image, top + i * factor, left + 2 * factor, channel, output)
                    _put(p3 + shift, slope, image, top + i * factor, left + 3 * factor, channel, output)


@inlined
def _gather(t0, t1, t2, t3, t4, t5):
    """Four pixels of a line from six combined ones."""
    both, difference = t1 + t2, t1 - t2
    p1 = difference + t3 * _TWO - t4 * _HALF
    p2 = both + t3 * _FOUR + t4 * _QUARTER
    return t0 + both + t3 + t4, p1, p2, difference + t5 + t3 * _EIGHT - t4 * _EIGHTH


@inlined
def _put(value, slope, image, y, x, channel, output):
    """Writes a pixel of a row, if it is one."""
    _, height, width, channels = output.shape
    if x < width and channel < channels:
        value = at_least(value, _ZERO) + at_most(value, _ZERO) * slope
        goal = ((image * height + y) * width + x) * channels + channel
        store_some(output, goal, value, min(LANES, channels - channel))
