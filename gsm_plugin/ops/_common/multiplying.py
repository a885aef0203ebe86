"""Products of rows with a matrix, within kernels that Numba compiles."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.exponentials import inlined
from gsm_plugin.ops._common.vectors import LANES, load, spread, store_some

# Rows that are multiplied at once.
ROWS = 8
_ZERO = np.float32(0)


@inlined
def multiply(rows, first, last, matrix, j, count, products, ahead):
    """Products of `ROWS` rows, or of as many as there are up to the last one, with some columns.

    Args:
        rows: (l, c), contiguous.
        first: The first row.
        last: The last row that there is.
        matrix: (c, columns), contiguous, columns a multiple of `LANES`.
        j: The first of `LANES` columns.
        count: How many of them are written.
        products: Result, (..., columns), contiguous.
        ahead: A row's products are written to the row that is so many ahead of it.
    """
    t1, t2, t3 = min(first + 1, last), min(first + 2, last), min(first + 3, last)
    t4, t5, t6, t7 = min(first + 4, last), min(first + 5, last), min(first + 6, last), min(first + 7, last)
    u0, u1, u2, u3, u4, u5, u6, u7 = (
        rows[first], rows[t1], rows[t2], rows[t3], rows[t4], rows[t5], rows[t6], rows[t7]
    )  # fmt: skip
    zero, m = spread(_ZERO), products.shape[1]
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for c in range(len(matrix)):
        w = load(matrix, c * matrix.shape[1] + j)
        s0, s1, s2, s3 = s0 + w * u0[c], s1 + w * u1[c], s2 + w * u2[c], s3 + w * u3[c]
        s4, s5, s6, s7 = s4 + w * u4[c], s5 + w * u5[c], s6 + w * u6[c], s7 + w * u7[c]
    store_some(products, (ahead + first) * m + j, s0, count)
    store_some(products, (ahead + t1) * m + j, s1, count)
    store_some(products, (ahead + t2) * m + j, s2, count)
    store_some(products, (ahead + t3) * m + j, s3, count)
    store_some(products, (ahead + t4) * m + j, s4, count)
    store_some(products, (ahead + t5) * m + j, s5, count)
    store_some(products, (ahead + t6) * m + j, s6, count)
    store_some(products, (ahead + t7) * m + j, s7, count)


def of_whole_vectors(weight: Tensor) -> Tensor:
    """A weight (..., m, c) as `multiply` takes it, (..., c, m) with zeros that make m a multiple of `LANES`."""
    return F.pad(weight.mT, (0, -weight.shape[-2] % LANES)).contiguous()
