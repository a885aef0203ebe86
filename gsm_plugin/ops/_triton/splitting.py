"""float32 as two parts of float16, for products on tensor cores that are as exact as those of float32.

A row is brought near 2^8 by a power of two, which changes no bits. The high part of a number has 11 bits, and both
together tell it to 2^-23, where it is not so small beside the greatest of its row that this is beyond float16: what is
lost there is 2^-32 of the greatest. Left out of a product is that of two low parts, each up to 2^-11 of its number
(Ootomo and Yokota, arXiv 2203.03341).

That is so for weights. To find what brings other rows there, they would have to be read first. So kernels multiply them
by 2^8 itself, look for the greatest of each on the way, and begin again where that is no usual one.
"""

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

_WARPS = 4
_MUCH = 200 * 2**10
# What the greatest of a row is brought to, or up to twice that.
NEAR = tl.constexpr(2.0**8)


class Halves(NamedTuple):
    """A matrix (n, k) in parts: `(high + low) * scale`.

    Attributes:
        high: float16, (n, k).
        low: float16, (n, k).
        scale: Powers of two, float32, (n,).
    """

    high: Tensor
    low: Tensor
    scale: Tensor


def halves_of_rows(matrix: Tensor) -> Halves:
    """Splits a matrix (n, k) of float32."""
    n, k = matrix.shape
    high, low = (torch.empty(n, k, dtype=torch.float16, device=matrix.device) for _ in range(2))
    halves = Halves(high, low, torch.empty(n, dtype=torch.float32, device=matrix.device))
    halves_of_rows_kernel[n,](matrix, *halves, *matrix.stride(), k, BLOCK=triton.next_power_of_2(k), num_warps=_WARPS)
    return halves


def has_much_shared_memory(x: Tensor) -> bool:
    """Whether a block may have as much shared memory as on Hopper; where there is no GPU, as with the interpreter."""
    properties: Any = torch.cuda.get_device_properties(x.device) if x.is_cuda else None
    return properties is None or properties.shared_memory_per_block_optin >= _MUCH


@triton.jit
def halves_of_rows_kernel(p_x, p_high, p_low, p_scale, stride_n, stride_k, k, BLOCK: tl.constexpr):
    """Grid (rows,)."""
    i_row, i_k = tl.program_id(0), tl.arange(0, BLOCK)
    b_x = tl.load(p_x + i_row.to(tl.int64) * stride_n + i_k * stride_k, i_k < k, 0.0)
    scale, inverse = scales_of(tl.max(tl.abs(b_x), 0))
    high, low = in_halves(b_x * inverse)
    tl.store(p_high + i_row.to(tl.int64) * k + i_k, high, i_k < k)
    tl.store(p_low + i_row.to(tl.int64) * k + i_k, low, i_k < k)
    tl.store(p_scale + i_row, scale)


@triton.jit
def scales_of(greatest):
    """The power of two by which to divide what has a greatest absolute value, so that it is near 2^8, and its inverse.

    They are made of their bits, since a division is not exact.
    """
    power = greatest.to(tl.int32, bitcast=True) & 0x7F800000
    # so that neither is too large or too small to be exact
    bits = tl.minimum(tl.maximum(power, 0x0C000000), 0x7F000000) - 0x04000000
    return bits.to(tl.float32, bitcast=True), (0x7F000000 - bits).to(tl.float32, bitcast=True)


@triton.jit
def any_unusual(greatest):
    """Whether the greatest absolute value of a row is such that the row needs another scale than `NEAR`.

    With that, values below 2^7 are within float16, and where the greatest is 2^-10 or more, both parts together tell
    all of them to 2^-23 of it. Zeros need no scale.
    """
    unusual = (greatest >= 2.0**7) | ((greatest < 2.0**-10) & (greatest > 0.0))
    return tl.max(unusual.to(tl.int32), 0) > 0


@triton.jit
def in_halves(x):
    """High and low parts in float16."""
    high = x.to(tl.float16)
    return high, (x - high.to(tl.float32)).to(tl.float16)


@triton.jit
def add_split_product(total, high, low, w_high, w_low):
    """Adds the products of two matrices in parts, the small ones first."""
    total = tl.dot(low, w_high, total)
    total = tl.dot(high, w_low, total)
    return tl.dot(high, w_high, total)
