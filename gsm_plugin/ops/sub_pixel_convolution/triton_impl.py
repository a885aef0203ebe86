"""Sub-pixel convolution in float32 by one Triton kernel: a product of matrices of parts of float16, on tensor cores.

A row of what is multiplied is what the taps of a pixel see. It is nowhere in memory: each step reads some channels of
the pixels that one tap sees.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.splitting import (
    NEAR,
    add_split_product,
    any_unusual,
    halves_of_rows,
    has_much_shared_memory,
    in_halves,
    scales_of,
)

# Most columns of a program and most channels that it multiplies at once, of how many such steps pixels and weights are
# in shared memory at a time, and its warps.
_MOST_COLUMNS, _MOST_AT_ONCE, _STAGES, _WARPS = 128, 32, 3, 8


def sub_pixel_convolution_triton(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    (n, c, h, w), m, side = x.shape, len(weight) // factor**2, weight.shape[-1]
    sides = n, m, h * factor, w * factor
    output = torch.empty(sides, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    if output.numel():
        # channels of a pixel of the result next to each other, those of a tap as well
        by_place = weight.view(m, factor**2, c, side**2).permute(1, 0, 3, 2).reshape(len(weight), -1)
        own_bias = bias.view(m, -1).t().contiguous()
        columns, pixels = _columns(len(weight)), 128 if has_much_shared_memory(x) else 64
        # so that two programs fit a multiprocessor, where they can without spilling
        most_registers = 128 if pixels == 128 and columns < _MOST_COLUMNS and c % 4 == 0 else None
        sub_pixel_convolution_fwd_kernel[triton.cdiv(n * h * w, pixels) * triton.cdiv(len(weight), columns),](
            x.permute(0, 2, 3, 1).contiguous(), *halves_of_rows(by_place), own_bias, output, n * h * w, h, w,
            C=c, M=m, SIDE=side, FACTOR=factor, SLOPE=slope, PIXELS=pixels, COLUMNS=columns,
            AT_ONCE=min(_MOST_AT_ONCE, max(16, triton.next_power_of_2(c))), STAGES=_STAGES, num_warps=_WARPS,
            maxnreg=most_registers,
        )  # fmt: skip
    return output


def _columns(count: int) -> int:
    """Columns of a program, so that few are in vain."""
    return _MOST_COLUMNS if count % _MOST_COLUMNS == 0 else min(64, max(16, triton.next_power_of_2(count)))


# or there were another kernel for each level of a pyramid
@triton.jit(do_not_specialize=['count', 'height', 'width'])
def sub_pixel_convolution_fwd_kernel(
    p_x, p_high, p_low, p_scale, p_bias, p_output, count, height, width, C: tl.constexpr, M: tl.constexpr,
    SIDE: tl.constexpr, FACTOR: tl.constexpr, SLOPE: tl.constexpr, PIXELS: tl.constexpr, COLUMNS: tl.constexpr,
    AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of pixels * blocks of columns,).

    x (n, h, w, C), parts of weight (FACTOR**2, M, SIDE**2, C), output (n * h, FACTOR, w, FACTOR, M), count n * h * w.
    What taps see is taken to be of a usual size, and read again where it is not.
    """
    blocks = tl.cdiv(M * FACTOR * FACTOR, COLUMNS)
    i_first = tl.program_id(0) // blocks * PIXELS
    i_pixel = i_first + tl.arange(0, PIXELS)
    i_column = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    m_column = i_column < M * FACTOR * FACTOR
    # what is added to these takes 32 bits, and so fewer registers
    first_line = i_first // width
    p_x += i_first.to(tl.int64) * C
    p_output += first_line.to(tl.int64) * width * FACTOR * FACTOR * M
    b_inverse = tl.full((PIXELS,), NEAR, tl.float32)
    b_total, b_greatest = _convolved(
        p_x, p_high, p_low, i_pixel, i_column, m_column, b_inverse, count, height, width, C,
        SIDE, PIXELS, COLUMNS, AT_ONCE, STAGES,
    )  # fmt: skip
    b_back = tl.full((PIXELS,), 1.0, tl.float32)
    if any_unusual(b_greatest):
        b_scale, b_inverse = scales_of(b_greatest)
        b_total, _ = _convolved(
            p_x, p_high, p_low, i_pixel, i_column, m_column, b_inverse, count, height, width, C,
            SIDE, PIXELS, COLUMNS, AT_ONCE, STAGES,
        )  # fmt: skip
        b_back = b_scale * NEAR
    # see `linear_fwd_kernel`
    b_total = b_total * (tl.load(p_scale + i_column, m_column, 0.0) * (1.0 / NEAR))[None, :] * b_back[:, None]
    b_total += tl.load(p_bias + i_column, m_column, 0.0)[None, :]
    b_total = tl.where(b_total > 0, b_total, b_total * SLOPE)
    i_line, i_place = i_pixel // width - first_line, i_column // M
    o_pixel = (i_line * (FACTOR * width) + i_pixel % width) * (FACTOR * M)
    o_column = (i_place // FACTOR * width * FACTOR + i_place % FACTOR) * M + i_column % M
    tl.store(p_output + o_pixel[:, None] + o_column[None, :], b_total, (i_pixel < count)[:, None] & m_column[None, :])


@triton.jit
def _convolved(
    p_x, p_high, p_low, i_pixel, i_column, m_column, b_inverse, count, height, width, C: tl.constexpr,
    SIDE: tl.constexpr, PIXELS: tl.constexpr, COLUMNS: tl.constexpr, AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Products of what pixels see, each times a power of two, and the greatest absolute value of each as it is."""
    i_y, i_x, steps = i_pixel // width % height, i_pixel % width, tl.cdiv(C, AT_ONCE)
    b_total, b_greatest = tl.zeros((PIXELS, COLUMNS), tl.float32), tl.zeros((PIXELS,), tl.float32)
    for i_step in tl.range(0, SIDE * SIDE * steps, num_stages=STAGES):
        i_tap, i_c = i_step // steps, i_step % steps * AT_ONCE + tl.arange(0, AT_ONCE)
        down, right = i_tap // SIDE - SIDE // 2, i_tap % SIDE - SIDE // 2
        m_pixel = (i_pixel < count) & (i_y + down >= 0) & (i_y + down < height)
        m_pixel = m_pixel & (i_x + right >= 0) & (i_x + right < width)
        o_x = (tl.arange(0, PIXELS) + (down * width + right))[:, None] * C + i_c[None, :]
        b_x = tl.load(p_x + o_x, m_pixel[:, None] & (i_c < C)[None, :], 0.0)
        o_weight = i_column[None, :] * (SIDE * SIDE * C) + (i_tap * C + i_c)[:, None]
        m_weight = m_column[None, :] & (i_c < C)[:, None]
        b_greatest = tl.maximum(b_greatest, tl.max(tl.abs(b_x), 1))
        b_high, b_low = in_halves(b_x * b_inverse[:, None])
        w_high, w_low = tl.load(p_high + o_weight, m_weight, 0.0), tl.load(p_low + o_weight, m_weight, 0.0)
        # sums are long, and tensor cores cut them off where ordinary units round
        b_total += add_split_product(tl.zeros((PIXELS, COLUMNS), tl.float32), b_high, b_low, w_high, w_low)
    return b_total, b_greatest
