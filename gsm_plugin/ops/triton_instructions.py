"""Single instructions of NVIDIA's GPUs for which Triton has no word, in float32 but where they say otherwise.

Triton's interpreter, which knows no assembly, computes what they mean.
"""

import os

import triton
import triton.language as tl

_INTERPRETED = tl.constexpr(os.environ.get('TRITON_INTERPRET') == '1')


@triton.jit
def prefetch(pointers):
    """Brings the cache lines of addresses, which have to exist, near to the multiprocessor; takes no register."""
    if not _INTERPRETED:
        tl.inline_asm_elementwise(
            'prefetch.global.L1 [$1]; mov.u32 $0, 0;', '=r,l', [pointers], tl.int32, is_pure=False, pack=1
        )


@triton.jit
def reciprocal(x):
    """1 / x to 1e-7 of it; a division takes a dozen instructions."""
    if _INTERPRETED:
        return 1.0 / x
    return tl.inline_asm_elementwise('rcp.approx.ftz.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def sine(x):
    """The sine of -pi ... pi, to 7e-7."""
    if _INTERPRETED:
        return tl.sin(x)
    return tl.inline_asm_elementwise('sin.approx.ftz.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def tangent(x):
    """The hyperbolic tangent, to 5e-4 of it."""
    if _INTERPRETED:
        return 1.0 - 2.0 / (1.0 + tl.exp(2.0 * x))
    return tl.inline_asm_elementwise('tanh.approx.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def multiply_add_pairs(a, b, c):
    """a b + c in float16, two at a time, which the compiler does where it happens to see them."""
    if _INTERPRETED:
        return a * b + c
    asm: tl.constexpr = 'fma.rn.f16x2 $0, $1, $2, $3;'
    return tl.inline_asm_elementwise(asm, '=r,r,r,r', [a, b, c], tl.float16, is_pure=True, pack=2)


@triton.jit
def add_pairs(a, b):
    """a + b in float16, two at a time."""
    if _INTERPRETED:
        return a + b
    return tl.inline_asm_elementwise('add.rn.f16x2 $0, $1, $2;', '=r,r,r', [a, b], tl.float16, is_pure=True, pack=2)


@triton.jit
def gelu_pairs(x):
    """GELU in float16, two at a time, to 2e-3 of the larger of it and 1; the largest number instead of infinity.

    The distribution of the standard normal distribution is (1 + tanh q(x)) / 2, where q is a polynomial that was fitted
    to it, to 3e-5.
    """
    if _INTERPRETED:
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
