"""The implicit warp with its norm for a CPU, compiled by Numba, of vectors of channels."""

import numpy as np

from gsm_plugin.ops._common.compiling import exact, inlined
from gsm_plugin.ops._common.exponentials import LOG2_E, power_of_two
from gsm_plugin.ops._common.normalising import normalise
from gsm_plugin.ops._common.places import pixel_and_fraction
from gsm_plugin.ops._common.vectors import LANES, load, load_some, spread, store, store_some, total

_ONE, _ZERO = np.float32(1), np.float32(0)


@exact
def attend_norm(
    query, key, value, key_position, value_position, flow, heads, weight, bias, eps, i, frames, first, last, output
):  # fmt: skip
    """Attends for the pixels of some rows of a frame, and normalises what comes out. Everything is contiguous.

    Args:
        query: (n, h, w, c).
        key: The same.
        value: The same.
        key_position: (4, c).
        value_position: The same.
        flow: (n, 2, h, w).
        heads: Heads.
        weight: Of the norm, (c,).
        bias: The same.
        eps: Added to the variance.
        i: The frame.
        frames: Frames of a target.
        first: The first row.
        last: The one behind the last row.
        output: (n / frames, h, w, frames, c).
    """
    _, height, width, channels = query.shape
    own, scale = channels // heads, np.float32((channels // heads) ** -0.5) * LOG2_E
    # of the neighbours of a head side by side; those and channels as many as fill vectors
    weights = np.zeros(-(-4 * heads // LANES) * LANES, np.float32)
    row_ = np.zeros(-(-channels // LANES) * LANES, np.float32)
    for row in range(first, last):
        for column in range(width):
            top, _ = pixel_and_fraction(row, flow[i, 1, row, column])
            left, _ = pixel_and_fraction(column, flow[i, 0, row, column])
            y_0, y_1 = _inside(top, height), _inside(top + 1, height)
            x_0, x_1 = _inside(left, width), _inside(left + 1, width)
            y_0, y_1 = (i * height + y_0) * width, (i * height + y_1) * width
            cell = (y_0 + x_0) * channels, (y_0 + x_1) * channels, (y_1 + x_0) * channels, (y_1 + x_1) * channels
            q = ((i * height + row) * width + column) * channels
            for head in range(heads):
                for j in range(4):
                    dot = spread(_ZERO)
                    for c in range(head * own, (head + 1) * own, LANES):
                        some = min(LANES, (head + 1) * own - c)
                        k = load_some(key, cell[j] + c, some) + load_some(key_position, j * channels + c, some)
                        dot = dot + load_some(query, q + c, some) * k
                    weights[4 * head + j] = total(dot) * scale
            _find_weights(weights, heads)
            for head in range(heads):
                for c in range(head * own, (head + 1) * own, LANES):
                    some, s = min(LANES, (head + 1) * own - c), spread(_ZERO)
                    for j in range(4):
                        v = load_some(value, cell[j] + c, some) + load_some(value_position, j * channels + c, some)
                        s = s + v * weights[4 * head + j]
                    store_some(row_, c, s, some)
            goal = (((i // frames * height + row) * width + column) * frames + i % frames) * channels
            normalise(row_, channels, weight, bias, eps, output, goal)


@inlined
def _inside(pixel, size):
    return min(max(pixel, 0), size - 1)


@inlined
def _find_weights(weights, heads):
    """Softmax over the four neighbours of each head, whose logits are in units of the logarithm of two."""
    for head in range(heads):
        w = weights[4 * head : 4 * head + 4]
        most = max(max(w[0], w[1]), max(w[2], w[3]))
        w[0], w[1], w[2], w[3] = w[0] - most, w[1] - most, w[2] - most, w[3] - most
    for j in range(0, 4 * heads, LANES):
        store(weights, j, power_of_two(load(weights, j)))
    for head in range(heads):
        w = weights[4 * head : 4 * head + 4]
        factor = _ONE / (w[0] + w[1] + w[2] + w[3])
        w[0], w[1], w[2], w[3] = w[0] * factor, w[1] * factor, w[2] * factor, w[3] * factor
