"""The depthwise 3x3x3 convolution for a CPU, compiled by Numba, with GELU where that is wanted.

It takes a tile of `LANES` channels at a time. Rows of the tile, of all frames, are copied side by side, so that
neighbours are in the nearest cache; sums of four pixels are in registers until they are done.
"""

import numpy as np

from gsm_plugin.ops._common.compiling import exact
from gsm_plugin.ops._common.exponentials import gelu
from gsm_plugin.ops._common.vectors import LANES, load, load_some, store, store_some

PIXELS = 4


@exact
def convolve(x, taps, bias, first, last, with_gelu, output):
    """Convolves rows from first to last.

    Args:
        x: (t, h, w, c), contiguous; beyond, it is zero.
        taps: (3, 3, 3, c), contiguous.
        bias: (c,).
        first: First row.
        last: The one behind the last row.
        with_gelu: Whether GELU is applied.
        output: Result, (t, h, w, c), contiguous.
    """
    frames, height, width, channels = x.shape
    # zero on both sides of a row, and behind it as far as sums of `PIXELS` columns read
    columns = -(-width // PIXELS) * PIXELS + 2
    rows, tap = np.zeros((3, frames, columns, LANES), np.float32), np.zeros((27, LANES), np.float32)
    for own in range(0, channels, LANES):
        count = min(LANES, channels - own)
        for i in range(27):
            store(tap, i * LANES, load_some(taps, i * channels + own, count))
        for row in range(first - 1, last + 1):
            if 0 <= row < height:
                for i in range(frames):
                    for column in range(width):
                        source = ((i * height + row) * width + column) * channels + own
                        target = (((row % 3) * frames + i) * columns + column + 1) * LANES
                        store(rows, target, load_some(x, source, count))
            if row > first:
                goal = (row - 1) * width * channels + own
                of_frame = height * width * channels
                own_bias = load_some(bias, own, count)
                convolve_row(
                    rows, row - 1, height, tap, own_bias, width, with_gelu, 0, frames, output, goal, of_frame, channels,
                    count,
                )  # fmt: skip


@exact
def convolve_row(
    rows, row, height, taps, bias, width, with_gelu, first, last, output, goal, of_frame, of_pixel, count
):  # fmt: skip
    """Convolves a row of some frames, of a tile of channels.

    Args:
        rows: The row before, that row and the one behind it, each at its number modulo three, (3, t, columns, LANES).
        row: Its number.
        height: Of the image; beyond it, there are no rows.
        taps: (27, LANES).
        bias: A vector.
        width: Columns; rows have one before them, and as many behind as make `PIXELS` at a time, and one.
        with_gelu: Whether GELU is applied.
        first: The first frame.
        last: The one behind the last frame.
        output: Result, contiguous.
        goal: The element of it that the first pixel's channels begin at, counted as if there were one axis.
        of_frame: Elements from a frame to the next one.
        of_pixel: Elements from a pixel to the next one.
        count: Channels that are written.
    """
    frames, columns = rows.shape[1:3]
    for column in range(0, width, PIXELS):
        for k in range(first, last):
            s0, s1, s2, s3 = bias, bias, bias, bias
            for i in range(max(0, 1 - k), min(3, frames + 1 - k)):
                for j in range(max(0, 1 - row), min(3, height + 1 - row)):
                    near = ((((row + j - 1) % 3) * frames + k + i - 1) * columns + column) * LANES
                    own_tap = (3 * i + j) * 3 * LANES
                    left, middle, right = (
                        load(taps, own_tap),
                        load(taps, own_tap + LANES),
                        load(taps, own_tap + 2 * LANES),
                    )
                    x0, x1, x2 = load(rows, near), load(rows, near + LANES), load(rows, near + 2 * LANES)
                    x3, x4, x5 = (
                        load(rows, near + 3 * LANES),
                        load(rows, near + 4 * LANES),
                        load(rows, near + 5 * LANES),
                    )
                    s0 = s0 + left * x0 + middle * x1 + right * x2
                    s1 = s1 + left * x1 + middle * x2 + right * x3
                    s2 = s2 + left * x2 + middle * x3 + right * x4
                    s3 = s3 + left * x3 + middle * x4 + right * x5
            if with_gelu:
                s0, s1, s2, s3 = gelu(s0), gelu(s1), gelu(s2), gelu(s3)
            target = goal + (k - first) * of_frame + column * of_pixel
            store_some(output, target, s0, count)
            if column + 1 < width:
                store_some(output, target + of_pixel, s1, count)
            if column + 2 < width:
                store_some(output, target + 2 * of_pixel, s2, count)
            if column + 3 < width:
                store_some(output, target + 3 * of_pixel, s3, count)
