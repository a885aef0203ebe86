"""The layer norm of a row, within kernels that Numba compiles."""

import math

import numpy as np

from gsm_plugin.ops._common.compiling import inlined
from gsm_plugin.ops._common.vectors import LANES, load, load_some, spread, store_some, total

_ONE, _ZERO = np.float32(1), np.float32(0)


@inlined
def normalise(row, channels, weight, bias, eps, output, first):
    """Writes the norm of so many channels from an element of the output on.

    Args:
        row: (channels,), made as many as fill vectors by zeros; overwritten.
        channels: How many there are.
        weight: (channels,), contiguous.
        bias: The same.
        eps: Added to the variance.
        output: Contiguous, of any shape.
        first: The element, counted as if it had one axis.
    """
    sums, squares, count = spread(_ZERO), spread(_ZERO), np.float32(channels)
    for c in range(0, channels, LANES):
        sums = sums + load(row, c)
    mean = total(sums) / count
    for c in range(0, channels, LANES):
        # what is beyond the channels stays zero
        store_some(row, c, load(row, c) - mean, min(LANES, channels - c))
        squares = squares + load(row, c) * load(row, c)
    slope = _ONE / np.float32(math.sqrt(total(squares) / count + np.float32(eps)))
    for c in range(0, channels, LANES):
        some = min(LANES, channels - c)
        value = load(row, c) * slope * load_some(weight, c, some) + load_some(bias, c, some)
        store_some(output, first + c, value, some)
