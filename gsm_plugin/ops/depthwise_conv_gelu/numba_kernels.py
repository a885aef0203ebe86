"""The depthwise 3x3x3 convolution for a CPU, compiled by Numba, with GELU where that is wanted.

It takes a tile of `LANES` channels at a time. Rows of the tile, of all frames, are copied side by side, so that
neighbours are in the nearest cache; sums of four pixels are in registers until they are done.
"""

import numpy as np

from gsm_plugin.ops._common.exponentials import exact, gelu
from gsm_plugin.ops._common.vectors import LANES, load, load_some, store, store_some

_PIXELS = 4
_ZERO = np.float32(0)


@exact
def convolve(
    x, shift, top, height, taps, bias, first, last, own_first, own_last, with_gelu, output, frame, output_top
):  # fmt: skip
    """Convolves rows from first to last, of channels from own_first to own_last.

    Args:
        x: Rows of all frames, (t, rows, w, c), contiguous.
        shift: What is added to x, (c,).
        top: The row of the image that x begins with; x has those that are read.
        height: Rows of the image; beyond them, and beyond columns and frames, it is zero.
        taps: (3, 3, 3, c), contiguous.
        bias: (c,).
        first: First row.
        last: The one behind the last row.
        own_first: First channel.
        own_last: The one behind the last channel.
        with_gelu: Whether GELU is applied.
        output: Result, (frames, rows, w, c), contiguous.
        frame: The frame that it begins with.
        output_top: The row that it begins with.
    """
    frames, _, width, channels = x.shape
    # zero on both sides of a row, and behind it as far as sums of `_PIXELS` columns read
    columns = -(-width // _PIXELS) * _PIXELS + 2
    rows, tap = np.zeros((3, frames, columns, LANES), np.float32), np.zeros((27, LANES), np.float32)
    for own in range(own_first, own_last, LANES):
        count = min(LANES, own_last - own)
        for i in range(27):
            store(tap, i * LANES, load_some(taps, i * channels + own, count))
        own_bias, own_shift = load_some(bias, own, count), load_some(shift, own, count)
        for row in range(first - 1, last + 1):
            if 0 <= row < height:
                for i in range(frames):
                    for column in range(width):
                        source = ((i * x.shape[1] + row - top) * width + column) * channels + own
                        target = (((row % 3) * frames + i) * columns + column + 1) * LANES
                        store(rows, target, load_some(x, source, count) + own_shift)
            if row > first:
                _convolve_row(
                    rows, row - 1, height, tap, own_bias, width, with_gelu, output, frame, output_top, own, count
                )


@exact
def _convolve_row(
    rows, row, height, tap, bias, width, with_gelu, output, frame, output_top, own, count
):  # fmt: skip
    """Convolves a row of all frames of the output: rows (3, t, columns, LANES), one after the other."""
    frames, columns = rows.shape[1:3]
    for column in range(0, width, _PIXELS):
        for k in range(output.shape[0]):
            s0, s1, s2, s3 = bias, bias, bias, bias
            for i in range(max(0, 1 - frame - k), min(3, frames + 1 - frame - k)):
                for j in range(max(0, 1 - row), min(3, height + 1 - row)):
                    near = ((((row + j - 1) % 3) * frames + frame + k + i - 1) * columns + column) * LANES
                    own_tap = (3 * i + j) * 3 * LANES
                    left, middle, right = load(tap, own_tap), load(tap, own_tap + LANES), load(tap, own_tap + 2 * LANES)
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
            target = ((k * output.shape[1] + row - output_top) * width + column) * output.shape[3] + own
            store_some(output, target, s0, count)
            if column + 1 < width:
                store_some(output, target + output.shape[3], s1, count)
            if column + 2 < width:
                store_some(output, target + 2 * output.shape[3], s2, count)
            if column + 3 < width:
                store_some(output, target + 3 * output.shape[3], s3, count)
