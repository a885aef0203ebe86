"""What is behind the heads of an attention block for a CPU, compiled by Numba, some rows at once.

Everything is float32 and contiguous. Matrices are as `multiply` takes them.
"""

import numpy as np

from gsm_plugin.ops._common.compiling import exact
from gsm_plugin.ops._common.exponentials import gelu
from gsm_plugin.ops._common.multiplying import ROWS, multiply
from gsm_plugin.ops._common.normalising import normalise
from gsm_plugin.ops._common.vectors import LANES, load, load_some, spread, store, store_some

_ZERO = np.float32(0)


@exact
def feed_forward(
    x, attended, proj, proj_bias, norm, norm_bias, gate, gate_bias, value, value_bias, out, out_bias, eps, first, last,
    output,
):  # fmt: skip
    """Computes rows from first to last.

    Args:
        x: (rows, c).
        attended: (rows, k).
        proj: A matrix of k rows and c columns.
        proj_bias: (c,).
        norm: (c,).
        norm_bias: (c,).
        gate: Of c rows and n columns.
        gate_bias: (n,), and zeros behind them, so that there are whole vectors.
        value: As the gate.
        value_bias: As that of the gate.
        out: Of n rows and c columns.
        out_bias: (c,).
        eps: Added to the variance.
        first: The first row.
        last: The one behind the last row.
        output: Result, (rows, c); it may be x.
    """
    channels, hidden, wide, zero = output.shape[1], out.shape[1], len(gate) * LANES, spread(_ZERO)
    # of `ROWS` rows, whose numbers stay in the nearest cache
    update, normed = np.empty((ROWS, channels), np.float32), np.empty((ROWS, channels), np.float32)
    gates, gated = np.empty((ROWS, wide), np.float32), np.empty((ROWS, hidden), np.float32)
    values = np.empty((ROWS, wide), np.float32)
    # zero beyond the channels
    sums = np.zeros(-(-channels // LANES) * LANES, np.float32)
    for row in range(first, last, ROWS):
        count = min(ROWS, last - row)
        for j in range(0, channels, LANES):
            some = min(LANES, channels - j)
            multiply(attended, row, last - 1, proj, j, load_some(proj_bias, j, some), False, some, update, j, channels)
        for i in range(count):
            for c in range(0, channels, LANES):
                some, place = min(LANES, channels - c), (row + i) * channels + c
                s = load_some(x, place, some) + load_some(update, i * channels + c, some)
                store(sums, c, s)
                store_some(output, place, s + load_some(out_bias, c, some), some)
            normalise(sums, channels, norm, norm_bias, eps, normed, i * channels)
        for j in range(0, wide, LANES):
            multiply(normed, 0, count - 1, gate, j, load(gate_bias, j), False, LANES, gates, j, wide)
            multiply(normed, 0, count - 1, value, j, load(value_bias, j), False, LANES, values, j, wide)
        for i in range(count):
            for j in range(0, hidden, LANES):
                product = gelu(load(gates, i * wide + j)) * load(values, i * wide + j)
                store_some(gated, i * hidden + j, product, min(LANES, hidden - j))
        for j in range(0, channels, LANES):
            some, goal = min(LANES, channels - j), row * channels + j
            multiply(gated, 0, count - 1, out, j, zero, True, some, output, goal, channels)
