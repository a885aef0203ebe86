"""Kernels of the bidirectional scan: the convolutions of both directions, forward and transposed.

A thread has whole columns of (tokens, channels) tiles and goes from token to token, so that each number is read once;
what the next tile needs of the ones before stays in registers.
"""

import triton
import triton.language as tl

from gsm_plugin.ops._triton.masks import below
from gsm_plugin.ops.bidirectional_scan.triton_tiles import channels_of, row, sigmoid, with_row


@triton.jit
def joined_row(first, rows_first, second, rows_second, i: tl.constexpr, number: tl.constexpr):
    """Row i of two tiles one above the other, the first of that number of rows."""
    if i < number:
        return row(first, rows_first, i)
    return row(second, rows_second, i - number)


@triton.jit
def moved(window, rows_window, tile, rows, number: tl.constexpr, STEPS: tl.constexpr):
    """The last rows, of that number, of a window of that number of rows and the tile below it."""
    result = window
    for i in tl.static_range(number):
        result = with_row(result, rows_window, i, joined_row(window, rows_window, tile, rows, STEPS + i, number))
    return result


@triton.jit
def load_tokens(p_x, t_0, rows, length, o_d, m_d, stride_l):
    """Tokens t_0 + rows, (tokens, channels), of x's type, zeros outside of the sequence."""
    mask = (t_0 + rows >= 0) & (t_0 + rows < length)
    p_tile = p_x + t_0.to(tl.int64) * stride_l + rows[:, None] * stride_l + o_d[None, :]
    return tl.load(p_tile, mask[:, None] & m_d[None, :], 0.0)


@triton.jit
def convolve_fwd_kernel(
    p_x, p_weight, p_bias, p_c, p_u, length, padded, group, stride_b, stride_l,
    d: tl.constexpr, width: tl.constexpr, FOR_GRADIENT: tl.constexpr, STAGES: tl.constexpr,
    WINDOW: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (groups of token tiles, channel blocks, b): both convolutions and the SiLU, x -> u (2, b, padded, d).

    FOR_GRADIENT: also c, u before the SiLU. Has read width - 1 tokens more than it has written.
    """
    i_g, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    rows, kept = tl.arange(0, STEPS), tl.arange(0, WINDOW)
    o_d = channels_of(i_d, CHANNELS)
    m_d = below(o_d, d, CHANNELS)
    overlap: tl.constexpr = width - 1
    p_x += i_b * stride_b
    t_first = i_g * group * STEPS
    window = load_tokens(p_x, t_first - overlap, kept, length, o_d, m_d, stride_l).to(tl.float32)
    weights = ()
    for i in tl.static_range(2 * width):
        weights += (tl.load(p_weight + (i // width * d + o_d) * width + i % width, m_d, 0.0).to(tl.float32),)
    bias_0 = tl.load(p_bias + o_d, m_d, 0.0).to(tl.float32)
    bias_1 = tl.load(p_bias + d + o_d, m_d, 0.0).to(tl.float32)
    for i_tile in tl.range(0, group, num_stages=STAGES):
        t_0 = t_first + i_tile * STEPS
        x = load_tokens(p_x, t_0 + overlap, rows, length, o_d, m_d, stride_l).to(tl.float32)
        mask = (t_0 + rows < padded)[:, None] & m_d[None, :]
        for i_dir in tl.static_range(2):
            c = tl.zeros([STEPS, CHANNELS], tl.float32)
            for j in tl.static_range(STEPS):
                total = bias_0 if i_dir == 0 else bias_1
                for i in tl.static_range(width):
                    total += weights[i_dir * width + i] * joined_row(
                        window, kept, x, rows, j + i if i_dir == 0 else j + 2 * overlap - i, 2 * overlap
                    )
                c = with_row(c, rows, j, total)
            s_0 = t_0 if i_dir == 0 else padded - 1 - t_0
            o_tile = ((i_dir * tl.num_programs(2) + i_b) * padded + s_0) * d + (1 - 2 * i_dir) * rows[:, None] * d
            o_tile += o_d[None, :]
            tl.store(p_u + o_tile, (c * sigmoid(c)).to(p_u.dtype.element_ty), mask)
            if FOR_GRADIENT:
                tl.store(p_c + o_tile, c.to(p_c.dtype.element_ty), mask)
        window = moved(window, kept, x, rows, 2 * overlap, STEPS)


@triton.jit
def load_dc(p_dc, t_0, rows, padded, o_d, m_d, i_dir, d):
    """Gradient of a direction's convolution at tokens t_0 + rows, (tokens, channels)."""
    s_0, sign = (t_0, 1) if i_dir == 0 else (padded - 1 - t_0, -1)
    mask = (t_0 + rows >= 0) & (t_0 + rows < padded)
    p_tile = p_dc + s_0.to(tl.int64) * d + (sign * rows)[:, None] * d + o_d[None, :]
    return tl.load(p_tile, mask[:, None] & m_d[None, :], 0.0).to(tl.float32)


@triton.jit
def convolve_bwd_kernel(
    p_x, p_dc, p_weight, p_dx, p_dparameters, length, padded, group, stride_b, stride_l,
    d: tl.constexpr, width: tl.constexpr, TAPS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (groups of token tiles, channel blocks, b): both convolutions transposed, dc (2, b, padded, d) -> dx.

    Partial sums over time: dparameters (b, groups, 2 (width + 1), d) of the convolutions' weights and biases. Goes from
    token to token; of the first direction's dc it has read width - 1 tokens more, of the second's it keeps as many.
    """
    i_g, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    rows, taps = tl.arange(0, STEPS), tl.arange(0, TAPS)
    o_d = channels_of(i_d, CHANNELS)
    m_d = below(o_d, d, CHANNELS)
    m_taps = (taps < width)[:, None] & m_d[None, :]
    overlap: tl.constexpr = width - 1
    p_weight += o_d[None, :] * width + taps[:, None]
    weight_0 = tl.load(p_weight, m_taps, 0.0).to(tl.float32)
    weight_1 = tl.load(p_weight + width * d, m_taps, 0.0).to(tl.float32)
    p_dc_0, p_dc_1 = p_dc + i_b * padded * d, p_dc + (tl.num_programs(2) + i_b) * padded * d
    t_0 = i_g * group * STEPS
    before_0 = load_dc(p_dc_0, t_0, taps, padded, o_d, m_d, 0, d)
    before_1 = load_dc(p_dc_1, t_0 - overlap, taps, padded, o_d, m_d, 1, d)
    sums_0 = tl.zeros([TAPS, CHANNELS], tl.float32)
    sums_1, bias_0, bias_1 = sums_0, tl.zeros([CHANNELS], tl.float32), tl.zeros([CHANNELS], tl.float32)
    for _ in range(group):
        mask = (t_0 + rows < length)[:, None] & m_d[None, :]
        o_x = i_b * stride_b + t_0.to(tl.int64) * stride_l + rows[:, None] * stride_l + o_d[None, :]
        x = tl.load(p_x + o_x, mask, 0.0).to(tl.float32)
        dc_0 = load_dc(p_dc_0, t_0 + overlap, rows, padded, o_d, m_d, 0, d)
        dc_1 = load_dc(p_dc_1, t_0, rows, padded, o_d, m_d, 1, d)
        dx = tl.zeros([STEPS, CHANNELS], tl.float32)
        for j in tl.static_range(STEPS):
            x_j, total = row(x, rows, j), tl.zeros([CHANNELS], tl.float32)
            for i in tl.static_range(width):
                dc_j = joined_row(before_0, taps, dc_0, rows, j + overlap - i, overlap)
                total += dc_j * row(weight_0, taps, i)
                sums_0 = with_row(sums_0, taps, i, row(sums_0, taps, i) + dc_j * x_j)
                dc_j = joined_row(before_1, taps, dc_1, rows, j + i, overlap)
                total += dc_j * row(weight_1, taps, i)
                sums_1 = with_row(sums_1, taps, i, row(sums_1, taps, i) + dc_j * x_j)
            dx = with_row(dx, rows, j, total)
            bias_0 += joined_row(before_0, taps, dc_0, rows, j, overlap)
            bias_1 += row(dc_1, rows, j)
        tl.store(p_dx + (i_b * length + t_0) * d + rows[:, None] * d + o_d[None, :], dx.to(p_dx.dtype.element_ty), mask)
        before_0 = moved(before_0, taps, dc_0, rows, overlap, STEPS)
        before_1 = moved(before_1, taps, dc_1, rows, overlap, STEPS)
        t_0 += STEPS
    p_sums = p_dparameters + (i_b * tl.num_programs(0) + i_g) * 2 * (width + 1) * d + o_d
    tl.store(p_sums[None, :] + taps[:, None] * d, sums_0, m_taps)
    tl.store(p_sums[None, :] + (width + 1 + taps)[:, None] * d, sums_1, m_taps)
    tl.store(p_sums + width * d, bias_0, m_d)
    tl.store(p_sums + (2 * width + 1) * d, bias_1, m_d)
