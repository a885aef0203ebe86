"""What is multiplied of a gradient for that of taps by minimal filtering, F(4x4, 3x3), compiled by Numba for a CPU."""

import numpy as np

from gsm_plugin.ops._common.compiling import exact, inlined
from gsm_plugin.ops._common.vectors import LANES, load, load_some, spread, store, store_some
from gsm_plugin.ops.sub_pixel_convolution.numba_kernels import PIXELS, SEEN

_ZERO, _HALF, _TWO = np.float32(0), np.float32(0.5), np.float32(2)
_QUARTER, _EIGHTH, _FOUR, _EIGHT = np.float32(0.25), np.float32(0.125), np.float32(4), np.float32(8)


@exact
def spread_gradients(gradients, first, last, factors):
    """A y A^T of tiles y of 4x4 pixels, of some rows of tiles.

    Args:
        gradients: (n, h, w, m), contiguous.
        first: The first row of tiles, counted through all images.
        last: The one behind the last row.
        factors: (36, tiles, m), contiguous, the tiles of the rows one after the other.
    """
    _, height, width, channels = gradients.shape
    down, across = -(-height // PIXELS), -(-width // PIXELS)
    columns = np.empty((SEEN, PIXELS, LANES), np.float32)
    plane = factors.shape[1] * channels
    for row in range(first, last):
        image, y = row // down, row % down * PIXELS
        for column in range(across):
            x = column * PIXELS
            for own in range(0, channels, LANES):
                count, goal = min(LANES, channels - own), ((row - first) * across + column) * channels + own
                for j in range(PIXELS):
                    p0 = _pixel(gradients, image, y, x + j, own, count)
                    p1 = _pixel(gradients, image, y + 1, x + j, own, count)
                    p2 = _pixel(gradients, image, y + 2, x + j, own, count)
                    p3 = _pixel(gradients, image, y + 3, x + j, own, count)
                    t1, t2, t3, t4 = _spread(p0, p1, p2, p3)
                    store(columns, j * LANES, p0)
                    store(columns, (PIXELS + j) * LANES, t1)
                    store(columns, (2 * PIXELS + j) * LANES, t2)
                    store(columns, (3 * PIXELS + j) * LANES, t3)
                    store(columns, (4 * PIXELS + j) * LANES, t4)
                    store(columns, (5 * PIXELS + j) * LANES, p3)
                for i in range(SEEN):
                    line = i * PIXELS * LANES
                    p0, p1 = load(columns, line), load(columns, line + LANES)
                    p2, p3 = load(columns, line + 2 * LANES), load(columns, line + 3 * LANES)
                    t1, t2, t3, t4 = _spread(p0, p1, p2, p3)
                    to = goal + i * SEEN * plane
                    store_some(factors, to, p0, count)
                    store_some(factors, to + plane, t1, count)
                    store_some(factors, to + 2 * plane, t2, count)
                    store_some(factors, to + 3 * plane, t3, count)
                    store_some(factors, to + 4 * plane, t4, count)
                    store_some(factors, to + 5 * plane, p3, count)


@inlined
def _pixel(images, image, row, column, own, count):
    _, height, width, channels = images.shape
    if row < height and column < width:
        return load_some(images, ((image * height + row) * width + column) * channels + own, count)
    return spread(_ZERO)


@inlined
def _spread(p0, p1, p2, p3):
    """The values of a polynomial of four coefficients at 1, -1, 2 and -1/2; those at 0 and infinity are at its ends."""
    even, odd = p0 + p2, p1 + p3
    t3 = p0 + p1 * _TWO + p2 * _FOUR + p3 * _EIGHT
    return even + odd, even - odd, t3, p0 - p1 * _HALF + p2 * _QUARTER - p3 * _EIGHTH
