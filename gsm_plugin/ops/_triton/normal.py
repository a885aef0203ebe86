"""GELU, and what it and its derivative are made of, for Triton kernels."""

import triton
import triton.language as tl

from gsm_plugin.ops._triton.instructions import INTERPRETED, reciprocal


@triton.jit
def normal_distribution(b_x):
    """Distribution and density of the standard normal distribution; the former to 3e-7 (to 1e-15 in float64).

    erf takes twice as many instructions as this rational approximation (Abramowitz and Stegun, 26.2.17), which shares
    its exponential with the density.
    """
    b_density = 0.3989422804014327 * tl.exp2(-0.7213475204444817 * b_x * b_x)
    if b_x.dtype == tl.float64:
        b_distribution = 0.5 + 0.5 * tl.math.erf(b_x * 0.7071067811865476)
    else:
        b_t = 1.0 / (1.0 + 0.2316419 * tl.abs(b_x))
        b_tail = 1.330274429 * b_t - 1.821255978
        b_tail = b_tail * b_t + 1.781477937
        b_tail = b_tail * b_t - 0.356563782
        b_tail = (b_tail * b_t + 0.319381530) * b_t * b_density
        b_distribution = tl.where(b_x > 0, 1.0 - b_tail, b_tail)
    return b_distribution, b_density


@triton.jit
def distribution_in_half_precision(b_x):
    """Distribution of the standard normal distribution, for results in half precision, in fewer instructions.

    A logistic function of a polynomial that was fitted to it: off by 7e-6 at most, x times it by 4e-6 at most and, for
    |x| < 3, by 5e-4 of itself.
    """
    b_square = b_x * b_x
    b_exponent = b_square * (3.6489897e-4 + b_square * (8.7386843e-5 - b_square * 3.1810129e-6))
    b_exponent = b_x * (-2.3020412 + b_square * (b_exponent - 0.1052352747))
    return reciprocal(1.0 + tl.exp2(b_exponent))


@triton.jit
def gelu_pairs(x):
    """GELU in float16, two at a time, to 2e-3 of the larger of it and 1; the largest number instead of infinity.

    The distribution of the standard normal distribution is (1 + tanh q(x)) / 2, where q is a polynomial that was fitted
    to it, to 3e-5.
    """
    if INTERPRETED:
        x_ = tl.minimum(tl.maximum(x.to(tl.float32), -16.0), 65504.0)
        s = tl.minimum(x_ * x_, 16.0)
        q = x_ * (0.79750781 + s * (0.037005719 - s * 0.00035152929))
        return (x_ / (1.0 + tl.exp(-2.0 * q))).to(tl.float16)
    # -16, 65504, 16 and the factors in float16, each twice
    asm: tl.constexpr = """{
        .reg .b32 x, s, q, k;
        mov.b32 k, 0xcc00cc00;
        max.f16x2 x, $1, k;
        mov.b32 k, 0x7bff7bff;
        min.f16x2 x, x, k;
        mul.rn.f16x2 s, x, x;
        mov.b32 k, 0x4c004c00;
        min.f16x2 s, s, k;
        mov.b32 q, 0x8dc28dc2;
        mov.b32 k, 0x28bd28bd;
        fma.rn.f16x2 q, q, s, k;
        mov.b32 k, 0x3a613a61;
        fma.rn.f16x2 q, q, s, k;
        mul.rn.f16x2 q, q, x;
        tanh.approx.f16x2 q, q;
        mov.b32 k, 0x38003800;
        mul.rn.f16x2 s, x, k;
        fma.rn.f16x2 $0, s, q, s;
    }"""
    return tl.inline_asm_elementwise(asm, '=r,r', [x], tl.float16, is_pure=True, pack=2)
