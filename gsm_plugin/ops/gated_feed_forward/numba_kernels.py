"""What is behind the heads of an attention block for a CPU, compiled by Numba, some rows at once.

Everything is float32 and contiguous. Matrices are as `multiply` takes them.
"""

import numpy as np

from gsm_plugin.ops._common.exponentials import exact, gelu
from gsm_plugin.ops._common.multiplying import ROWS, multiply
from gsm_plugin.ops._common.normalising import normalise
from gsm_plugin.ops._common.vectors import LANES, load, load_some, store, store_some


@exact
def feed_forward(
    x, attended, proj, proj_bias, norm, norm_bias, gate, gate_bias, value, value_bias, out, out_bias, eps, first, last,
    output,
):  # fmt: skip
    """Computes rows from first to last.

    Args:
        x: (rows, c).
        attended: (rows, k).
        proj: (k, c), and zeros, so that there are whole vectors of columns, as in all matrices.
        proj_bias: (c,).
        norm: (c,).
        norm_bias: (c,).
        gate: (c, n).
        gate_bias: (n,), and as many zeros as columns.
        value: (c, n).
        value_bias: As that of the gate.
        out: (n, c).
        out_bias: (c,).
        eps: Added to the variance.
        first: The first row.
        last: The one behind the last row.
        output: Result, (rows, c); it may be x.
    """
    channels, hidden, wide = output.shape[1], len(out), gate.shape[1]
    # of `ROWS` rows, whose numbers stay in the nearest cache
    update, normed = np.empty((ROWS, channels), np.float32), np.empty((ROWS, channels), np.float32)
    gates, gated = np.empty((ROWS, wide), np.float32), np.empty((ROWS, hidden), np.float32)
    values = np.empty((ROWS, wide), np.float32)
    # zero beyond the channels
    sums = np.zeros(-(-channels // LANES) * LANES, np.float32)
    for row in range(first, last, ROWS):
        count = min(ROWS, last - row)
        for j in range(0, channels, LANES):
            multiply(attended, row, last - 1, proj, j, min(LANES, channels - j), update, -row)
        for i in range(count):
            for c in range(0, channels, LANES):
                some, place = min(LANES, channels - c), (row + i) * channels + c
                s = (
                    load_some(x, place, some)
                    + load_some(update, i * channels + c, some)
                    + load_some(proj_bias, c, some)
                )
                store(sums, c, s)
                store_some(output, place, s + load_some(out_bias, c, some), some)
            normalise(sums, channels, norm, norm_bias, eps, normed, i * channels)
        for j in range(0, wide, LANES):
            multiply(normed, 0, count - 1, gate, j, LANES, gates, 0)
            multiply(normed, 0, count - 1, value, j, LANES, values, 0)
        for i in range(count):
            for j in range(0, hidden, LANES):
                open_ = gelu(load(gates, i * wide + j) + load(gate_bias, j))
                closed = load(values, i * wide + j) + load(value_bias, j)
                store_some(gated, i * hidden + j, open_ * closed, min(LANES, hidden - j))
        for j in range(0, channels, LANES):
            multiply(gated, 0, count - 1, out, j, min(LANES, channels - j), update, 0)
        for i in range(count):
            for c in range(0, channels, LANES):
                some, place = min(LANES, channels - c), (row + i) * channels + c
                store_some(
                    output, place, load_some(output, place, some) + load_some(update, i * channels + c, some), some
                )
