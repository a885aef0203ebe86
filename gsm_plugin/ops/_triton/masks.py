"""Masks that the compiler may drop."""

import triton
import triton.language as tl


@triton.jit
def below(indices, size: tl.constexpr, number: tl.constexpr):
    """Mask of the indices below a size, known to be all of them where the size is a multiple of their number."""
    if size % number == 0:
        return tl.full(indices.shape, True, tl.int1)
    return indices < size
