"""The flow warp with its sum and norm for a CPU, compiled by Numba, of vectors of channels."""

import numpy as np

from gsm_plugin.ops._common.compiling import exact, inlined
from gsm_plugin.ops._common.normalising import normalise
from gsm_plugin.ops._common.places import pixel_and_fraction
from gsm_plugin.ops._common.vectors import LANES, load_some, store, store_some

_ONE, _ZERO = np.float32(1), np.float32(0)


@exact
def add_norm(
    frame, aligned, flow, scale, factor, summand, weight, bias, eps, first, last, normed
):  # fmt: skip
    """Overwrites some rows of a frame.

    Args:
        frame: (h, w, c), contiguous.
        aligned: (h, w, c), of any strides but that of channels.
        flow: (2, h, w).
        scale: See `SumAndNorm`, (c,), contiguous.
        factor: Likewise.
        summand: Likewise.
        weight: Likewise.
        bias: Likewise.
        eps: Added to the variance.
        first: The first row.
        last: The one behind the last row.
        normed: (h, w, c), contiguous.
    """
    height, width, channels = frame.shape
    of_row, of_column = aligned.strides[0] // 4, aligned.strides[1] // 4
    # zero beyond the channels
    sums = np.zeros(-(-channels // LANES) * LANES, np.float32)
    for row in range(first, last):
        for column in range(width):
            top, y = pixel_and_fraction(row, flow[1, row, column])
            left, x = pixel_and_fraction(column, flow[0, row, column])
            own = (row * width + column) * channels
            # a neighbour beyond the image counts nothing, and any pixel stands for it
            above, below = _weight(_ONE - y, top, height), _weight(y, top + 1, height)
            before, behind = _weight(_ONE - x, left, width), _weight(x, left + 1, width)
            j_0, j_1 = min(max(top, 0), height - 1) * of_row, min(max(top + 1, 0), height - 1) * of_row
            i_0, i_1 = min(max(left, 0), width - 1) * of_column, min(max(left + 1, 0), width - 1) * of_column
            for c in range(0, channels, LANES):
                some = min(LANES, channels - c)
                s = load_some(scale, c, some) * load_some(frame, own + c, some)
                s = s + load_some(aligned, j_0 + i_0 + c, some) * (above * before)
                s = s + load_some(aligned, j_0 + i_1 + c, some) * (above * behind)
                s = s + load_some(aligned, j_1 + i_0 + c, some) * (below * before)
                s = s + load_some(aligned, j_1 + i_1 + c, some) * (below * behind)
                store(sums, c, s)
                store_some(frame, own + c, load_some(factor, c, some) * s + load_some(summand, c, some), some)
            normalise(sums, channels, weight, bias, eps, normed, own)


@inlined
def _weight(share, pixel, size):
    return share if 0 <= pixel < size else _ZERO
