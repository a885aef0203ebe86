"""Sums over the taps of a convolution for a CPU, compiled by Numba."""

from gsm_plugin.ops._common.compiling import compiled

SIDE = 5


@compiled
def add_taps(products, first, rows, sums):
    """Adds products of taps with pixels to the pixels that see these.

    Args:
        products: Of each tap and colour with the pixels of some rows, (SIDE * SIDE * colours, rows * w), rows of any
            stride.
        first: The first of these rows.
        rows: How many there are.
        sums: What is added to, (colours, h, w), contiguous.
    """
    colours, height, width = sums.shape
    reach = SIDE // 2
    for y in range(max(0, first - reach), min(height, first + rows + reach)):
        for colour in range(colours):
            for i in range(max(0, first + reach - y), min(SIDE, first + rows + reach - y)):
                start = (y + i - reach - first) * width
                for j in range(SIDE):
                    begin, end = max(0, reach - j), min(width, width + reach - j)
                    own = products[(i * SIDE + j) * colours + colour, start + begin + j - reach : start + width]
                    goal = sums[colour, y, begin:]
                    for x in range(end - begin):
                        goal[x] += own[x]
