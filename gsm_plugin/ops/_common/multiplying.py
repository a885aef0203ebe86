"""Products of rows with a matrix, within kernels that Numba compiles."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.compiling import inlined
from gsm_plugin.ops._common.vectors import LANES, load, load_some, store_some

# Rows that are multiplied at once.
ROWS = 8


@inlined
def multiply(rows, first, last, matrix, j, start, adds, count, products, goal, step):
    """Products of `ROWS` rows, or of as many as there are up to the last one, with some columns.

    Args:
        rows: (l, c), contiguous.
        first: The first row.
        last: The last row that there is.
        matrix: By vectors of columns, (columns / LANES, c, LANES), contiguous; see `of_whole_vectors`.
        j: The first of `LANES` columns.
        start: What the products are added to, a vector.
        adds: Whether what is at their place is added; a constant.
        count: How many of the columns are written.
        products: Result, contiguous, of any shape.
        goal: The element to which the first row's products are written, counted as if there were one axis.
        step: Elements from there to those of the next row.
    """
    t1, t2, t3 = min(first + 1, last), min(first + 2, last), min(first + 3, last)
    t4, t5, t6, t7 = min(first + 4, last), min(first + 5, last), min(first + 6, last), min(first + 7, last)
    u0, u1, u2, u3, u4, u5, u6, u7 = (
        rows[first], rows[t1], rows[t2], rows[t3], rows[t4], rows[t5], rows[t6], rows[t7]
    )  # fmt: skip
    g1, g2, g3 = goal + (t1 - first) * step, goal + (t2 - first) * step, goal + (t3 - first) * step
    g4, g5, g6 = goal + (t4 - first) * step, goal + (t5 - first) * step, goal + (t6 - first) * step
    g7, channels = goal + (t7 - first) * step, matrix.shape[1]
    s0, s1, s2, s3, s4, s5, s6, s7 = start, start, start, start, start, start, start, start
    for c in range(channels):
        w = load(matrix, j * channels + c * LANES)
        s0, s1, s2, s3 = s0 + w * u0[c], s1 + w * u1[c], s2 + w * u2[c], s3 + w * u3[c]
        s4, s5, s6, s7 = s4 + w * u4[c], s5 + w * u5[c], s6 + w * u6[c], s7 + w * u7[c]
    if adds:
        # all of them before the first is written, since the last row may be there several times
        s0, s1 = s0 + load_some(products, goal, count), s1 + load_some(products, g1, count)
        s2, s3 = s2 + load_some(products, g2, count), s3 + load_some(products, g3, count)
        s4, s5 = s4 + load_some(products, g4, count), s5 + load_some(products, g5, count)
        s6, s7 = s6 + load_some(products, g6, count), s7 + load_some(products, g7, count)
    store_some(products, goal, s0, count)
    store_some(products, g1, s1, count)
    store_some(products, g2, s2, count)
    store_some(products, g3, s3, count)
    store_some(products, g4, s4, count)
    store_some(products, g5, s5, count)
    store_some(products, g6, s6, count)
    store_some(products, g7, s7, count)


def of_whole_vectors(weight: Tensor) -> Tensor:
    """A weight (..., m, c) as `multiply` takes it, (..., m / LANES, c, LANES), with zeros behind the last row.

    So a vector's columns are next to each other in memory, and not in the same few places of the nearest cache.
    """
    padded = F.pad(weight, (0, 0, 0, -weight.shape[-2] % LANES))
    return padded.unflatten(-2, (-1, LANES)).mT.contiguous()
