"""The query of the implicit warp for a CPU, compiled by Numba, of vectors of channels."""

import numpy as np

from gsm_plugin.ops._common.compiling import exact
from gsm_plugin.ops._common.exponentials import sine_of_turns
from gsm_plugin.ops._common.multiplying import ROWS, multiply
from gsm_plugin.ops._common.places import pixel_and_fraction
from gsm_plugin.ops._common.vectors import LANES, load_some, store_some


@exact
def project_encoded(target, flow, of_y, of_x, ahead, weight, bias, i, frames, first, last, output):
    """Adds sines and cosines of fractions to features, and projects that, in the rows from first to last of a flow.

    Args:
        target: (m, h, w, c).
        flow: (n, 2, h, w).
        of_y: Turns of each channel for a pixel in y, (c,).
        of_x: The same in x.
        ahead: Turns that are added, (c,).
        weight: As `multiply` takes it, of c rows and c columns.
        bias: (c,).
        i: The flow.
        frames: Flows of a target.
        first: The first row.
        last: The one behind the last row.
        output: (n, h, w, c).
    """
    _, height, width, channels = target.shape
    encoded = np.empty((width, channels), np.float32)
    for row in range(first, last):
        for column in range(width):
            _, y = pixel_and_fraction(row, flow[i, 1, row, column])
            _, x = pixel_and_fraction(column, flow[i, 0, row, column])
            source = (((i // frames) * height + row) * width + column) * channels
            for own in range(0, channels, LANES):
                some = min(LANES, channels - own)
                turns = load_some(of_y, own, some) * y + load_some(of_x, own, some) * x + load_some(ahead, own, some)
                value = load_some(target, source + own, some) + sine_of_turns(turns)
                store_some(encoded, column * channels + own, value, some)
        for column in range(0, width, ROWS):
            goal = ((i * height + row) * width + column) * channels
            for j in range(0, channels, LANES):
                some = min(LANES, channels - j)
                start = load_some(bias, j, some)
                multiply(encoded, column, width - 1, weight, j, start, False, some, output, goal + j, channels)
