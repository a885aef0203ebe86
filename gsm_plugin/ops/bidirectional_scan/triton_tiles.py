"""What the kernels of the bidirectional scan share: tiles, and functions of single numbers.

In the kernels that scan or convolve, a tile is (steps, channels) or (states, channels), and a thread has whole columns
of it in its registers: neither a recurrence over time nor a sum over states or time needs another thread.
"""

import triton
import triton.language as tl

from gsm_plugin.ops._triton.instructions import hyperbolic_tangent, reciprocal

LOG2E = tl.constexpr(1.4426950408889634)
# Decay that leaves nothing of a state in float32, as a power of 1/2.
FORGOTTEN = tl.constexpr(32.0)
# What kernels that do without `channels_of` read and write in such tiles. Were its alignment known, the compiler would
# give adjacent channels to a thread, more than two, and spread the steps or states over threads.
UNALIGNED = [
    'p_u', 'p_delta', 'p_z', 'p_dy', 'p_du', 'p_ddelta', 'p_A', 'p_D', 'p_end', 'p_total', 'p_entry', 'p_states',
    'p_start', 'p_adjoint', 'p_dparameters',
]  # fmt: skip


@triton.jit
def channels_of(i_d, CHANNELS: tl.constexpr):
    """Channels of a program, two adjacent ones for each thread, which it reads and writes at once.

    Were the compiler not told that no more are adjacent, it would give a thread more, and spread tokens or states over
    threads.
    """
    return tl.max_contiguous(i_d * CHANNELS + tl.arange(0, CHANNELS), 2)


@triton.jit
def lines_of_steps(row_length, STEPS: tl.constexpr):
    """Places in the cache lines of the numbers of so many steps, (32,)."""
    return tl.arange(0, 32) * (STEPS * row_length // 32)


@triton.jit
def lines_of_channels(i_d, d: tl.constexpr, CHANNELS: tl.constexpr):
    """Places in the cache lines of a program's channels of a step, (1, 2)."""
    return tl.minimum(i_d * CHANNELS + tl.arange(0, 2) * (CHANNELS // 2), d - 1)[None, :]


@triton.jit
def sigmoid(x):
    return reciprocal(1.0 + tl.exp2(x * -LOG2E))


@triton.jit
def silu_in_half_precision(x):
    """x sigmoid(x), the sigmoid to 3e-4."""
    half = 0.5 * x
    return half + half * hyperbolic_tangent(half)


@triton.jit
def softplus(x, HALF: tl.constexpr):
    """max(x, 0) + log(1 + exp(-|x|)), the logarithm as a polynomial to 3e-7 of its value, or HALF to 6e-5."""
    e = tl.exp2(tl.abs(x) * -LOG2E)
    if HALF:
        p = 0.99994328 + e * (-0.49697774 + e * (0.30630061 + e * (-0.15742668 + e * 0.041347035)))
    else:
        p = 0.17687477 + e * (-0.10685003 + e * (0.0434939 - e * 0.008371153))
        p = 0.99999976 + e * (-0.49997175 + e * (0.3327193 + e * (-0.24474774 + e * p)))
    return tl.maximum(x, 0.0) + e * p


@triton.jit
def row(tile, rows, i):
    """Row i of a tile; the sum of integers folds away, since each thread has whole columns."""
    bits = tl.where((rows == i)[:, None], tile.to(tl.int32, bitcast=True), 0)
    return tl.sum(bits, 0).to(tl.float32, bitcast=True)


@triton.jit
def with_row(tile, rows, i, values):
    """The tile with other values in row i; renames registers if i is known to the compiler."""
    return tl.where((rows == i)[:, None], values[None, :], tile)
