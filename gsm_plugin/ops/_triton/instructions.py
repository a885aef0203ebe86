"""Single instructions of NVIDIA's GPUs for which Triton has no word, in float32 but where they say otherwise.

Triton's interpreter, which knows no assembly, computes what they mean.
"""

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get('TRITON_INTERPRET') == '1')


@triton.jit
def prefetch(pointers):
    """Brings the cache lines of addresses, which have to exist, near to the multiprocessor; takes no register."""
    if not INTERPRETED:
        tl.inline_asm_elementwise(
            'prefetch.global.L1 [$1]; mov.u32 $0, 0;', '=r,l', [pointers], tl.int32, is_pure=False, pack=1
        )


@triton.jit
def reciprocal(x):
    """1 / x to 1e-7 of it; a division takes a dozen instructions."""
    if INTERPRETED:
        return 1.0 / x
    return tl.inline_asm_elementwise('rcp.approx.ftz.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def sine(x):
    """The sine of -pi ... pi, to 7e-7."""
    if INTERPRETED:
        return tl.sin(x)
    return tl.inline_asm_elementwise('sin.approx.ftz.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def hyperbolic_tangent(x):
    """To 5e-4 of it."""
    if INTERPRETED:
        return 1.0 - 2.0 / (1.0 + tl.exp(2.0 * x))
    return tl.inline_asm_elementwise('tanh.approx.f32 $0, $1;', '=f,f', [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def multiply_add_pairs(a, b, c):
    """a b + c in float16, two at a time, which the compiler does where it happens to see them."""
    if INTERPRETED:
        return a * b + c
    asm: tl.constexpr = 'fma.rn.f16x2 $0, $1, $2, $3;'
    return tl.inline_asm_elementwise(asm, '=r,r,r,r', [a, b, c], tl.float16, is_pure=True, pack=2)


@triton.jit
def add_pairs(a, b):
    """a + b in float16, two at a time."""
    if INTERPRETED:
        return a + b
    return tl.inline_asm_elementwise('add.rn.f16x2 $0, $1, $2;', '=r,r,r', [a, b], tl.float16, is_pure=True, pack=2)
