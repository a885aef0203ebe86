"""The feed-forward network of a window for a CPU, compiled by Numba, row by row from the first product to the last.

Hidden channels are by tiles of `LANES`. Of all tiles, three rows of some columns are kept, which the convolution reads;
they are the cache's, whatever the size of the window.
"""

import numpy as np

from gsm_plugin.ops._common.compiling import exact
from gsm_plugin.ops._common.multiplying import ROWS, multiply
from gsm_plugin.ops._common.vectors import LANES, load, spread
from gsm_plugin.ops.depthwise_conv_gelu.numba_kernels import PIXELS, convolve_row

_ZERO = np.float32(0)


@exact
def add(x, inner, inner_bias, taps, taps_bias, out, wanted_first, wanted_last, first, last, left, right, total):
    """Adds what comes of some frames, in rows from first to last and columns from left to right.

    Args:
        x: (t, h, w, c), contiguous.
        inner: As `multiply` takes it, of c rows and n columns, n a multiple of `LANES`.
        inner_bias: (n,).
        taps: By tiles, (n / LANES, 27, LANES), contiguous.
        taps_bias: (n,).
        out: As `multiply` takes it, of n rows and c columns.
        wanted_first: The first frame.
        wanted_last: The one behind the last frame.
        first: The first row.
        last: The one behind the last row.
        left: The first column.
        right: The one behind the last column.
        total: What is added to, (frames, h, w, c), contiguous.
    """
    (frames, height, width, channels), tiles, own_width = x.shape, len(inner), right - left
    wanted, hidden, zero = wanted_last - wanted_first, len(inner) * LANES, spread(_ZERO)
    columns = -(-own_width // PIXELS) * PIXELS + 2
    # zero beyond the image
    rows = np.zeros((tiles, 3, frames, columns, LANES), np.float32)
    convolved = np.empty((wanted * own_width, hidden), np.float32)
    pixels = x.reshape(-1, channels)
    begin, end = max(0, left - 1), min(width, right + 1)
    for row in range(first - 1, last + 1):
        if 0 <= row < height:
            for i in range(frames):
                start = (i * height + row) * width
                for tile in range(tiles):
                    goal = (((tile * 3 + row % 3) * frames + i) * columns + begin + 1 - left) * LANES
                    shift = load(inner_bias, tile * LANES)
                    for p in range(begin, end, ROWS):
                        place = goal + (p - begin) * LANES
                        multiply(
                            pixels, start + p, start + end - 1, inner, tile * LANES, shift, False, LANES, rows, place,
                            LANES,
                        )  # fmt: skip
        if row > first:
            for tile in range(tiles):
                convolve_row(
                    rows[tile], row - 1, height, taps[tile], load(taps_bias, tile * LANES), own_width, True,
                    wanted_first, wanted_last, convolved, tile * LANES, own_width * hidden, hidden, LANES,
                )  # fmt: skip
            for k in range(wanted):
                start, stop = k * own_width, (k + 1) * own_width
                for j in range(0, channels, LANES):
                    some = min(LANES, channels - j)
                    for p in range(start, stop, ROWS):
                        goal = ((k * height + row - 1) * width + left + p - start) * channels + j
                        multiply(convolved, p, stop - 1, out, j, zero, True, some, total, goal, channels)
