"""The encoding of fractions for a CPU, compiled by Numba, of vectors of channels."""

from gsm_plugin.ops._common.exponentials import exact, sine_of_turns
from gsm_plugin.ops._common.places import pixel_and_fraction
from gsm_plugin.ops._common.vectors import LANES, load_some, store_some


@exact
def encode(target, flow, of_y, of_x, ahead, i, frames, first, last, output):
    """Adds sines and cosines of fractions to features, in the rows from first to last of a flow.

    Args:
        target: (m, h, w, c).
        flow: (n, 2, h, w).
        of_y: Turns of each channel for a pixel in y, (c,).
        of_x: The same in x.
        ahead: Turns that are added, (c,).
        i: The flow.
        frames: Flows of a target.
        first: The first row.
        last: The one behind the last row.
        output: (n, h, w, c).
    """
    _, height, width, channels = target.shape
    for row in range(first, last):
        for column in range(width):
            _, y = pixel_and_fraction(row, flow[i, 1, row, column])
            _, x = pixel_and_fraction(column, flow[i, 0, row, column])
            source = (((i // frames) * height + row) * width + column) * channels
            goal = ((i * height + row) * width + column) * channels
            for own in range(0, channels, LANES):
                count = min(LANES, channels - own)
                turns = load_some(of_y, own, count) * y + load_some(of_x, own, count) * x + load_some(ahead, own, count)
                store_some(output, goal + own, load_some(target, source + own, count) + sine_of_turns(turns), count)
