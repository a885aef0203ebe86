"""Kernels of the bidirectional scan, backward: adjoint states of the chunks, gradients of the scan, of its inputs.

Layouts as in `triton_forward`. No sum is atomic: what programs share goes through buffers of partial sums.
"""

import triton
import triton.language as tl

from gsm_plugin.ops.bidirectional_scan.triton_forward import (
    FORGOTTEN,
    LOG2E,
    UNALIGNED,
    below,
    row,
    sigmoid,
    with_row,
)

LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl):
    """Gradient of the sum of both directions before its gate, (steps, channels)."""
    t = sign * rows[:, None]
    mask = (t_0 + t < length) & m_d[None, :]
    z = tl.load(p_z + t_0.to(tl.int64) * stride_zl + t * stride_zl + o_d[None, :], mask, 0.0).to(tl.float32)
    dy = tl.load(p_dy + t_0.to(tl.int64) * stride_dyl + t * stride_dyl + o_d[None, :], mask, 0.0)
    return dy.to(tl.float32) * z * sigmoid(z)


@triton.jit(do_not_specialize_on_alignment=UNALIGNED)
def chunk_start_bwd_kernel(
    p_dy, p_z, p_delta, p_steps, p_A, p_start, p_total,
    length, padded, row_length, tiles, stride_dyb, stride_dyl, stride_zb, stride_zl,
    d: tl.constexpr, n: tl.constexpr, STATES: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks, channel blocks, 2 b): adjoint that a chunk hands to the one before -> start (2, b, chunks, n, d).

    Goes from the start of the chunk to its end, and stops where nothing that comes later matters.
    """
    i_c, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    batch = tl.num_programs(2) // 2
    i_dir, i_b = i_db // batch, i_db % batch
    sign, rows, states = 1 - 2 * i_dir, tl.arange(0, STEPS), tl.arange(0, STATES)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d, m_n = below(o_d, d, CHANNELS), below(states, n, STATES)
    o_state, m_state = states[:, None] * d + o_d[None, :], m_n[:, None] & m_d[None, :]
    p_dy += i_b.to(tl.int64) * stride_dyb
    p_z += i_b.to(tl.int64) * stride_zb
    A = tl.load(p_A + i_dir * n * d + o_state, m_state, 0.0)
    slowest = tl.min(tl.where(m_state, -A, 1e30), 0)
    start = tl.zeros([STATES, CHANNELS], tl.float32)
    before = tl.zeros([CHANNELS], tl.float32)
    reach = 0.0
    i = 0
    while (i < tiles) & (reach < FORGOTTEN):
        s_0 = (i_c * tiles + i) * STEPS
        t_0 = i_dir * (padded - 1) + sign * s_0
        o_step = i_db.to(tl.int64) * padded + s_0
        delta = tl.load(p_delta + o_step * d + rows[:, None] * d + o_d[None, :], m_d[None, :], 0.0).to(tl.float32)
        ds = ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl)
        for j in tl.static_range(STEPS):
            C = tl.load(p_steps + (o_step + j) * row_length + n + states, m_n, 0.0)
            before += row(delta, rows, j)
            start += tl.exp2(A * before[None, :]) * (row(ds, rows, j)[None, :] * C[:, None])
        reach = tl.min(before * slowest, 0)
        i += 1
    o_chunk = i_db.to(tl.int64) * tl.num_programs(0) + i_c
    tl.store(p_start + o_chunk * n * d + o_state, start, m_state)
    tl.store(p_total + o_chunk * d + o_d, before, m_d)


@triton.jit
def sums_over_channels(first, second, ones, PRECISE: tl.constexpr):
    """Sums of two (steps, channels) tiles over channels, as the first and the second row of (rows, steps).

    A thread adds what it has of them, two channels that are half of all apart. The tensor cores add the rest, in
    float32, of addends rounded to the type of `ones`; if PRECISE, also what that cut off.
    """
    steps: tl.constexpr = first.shape[0]
    halves = tl.join(first, second).reshape(steps, 2, first.shape[1] // 2, 2)
    pairs = tl.trans(tl.sum(halves, 1).reshape(steps, first.shape[1]))
    high = pairs.to(ones.dtype)
    total = tl.dot(ones, high)
    if PRECISE:
        total = tl.dot(ones, (pairs - high.to(tl.float32)).to(ones.dtype), total)
    return total


@triton.jit(do_not_specialize_on_alignment=UNALIGNED)
def scan_bwd_kernel(
    p_u, p_delta, p_z, p_dy, p_small, p_A, p_D, p_states, p_adjoint, p_du, p_ddelta, p_dsmall, p_dparameters,
    length, padded, rank, blocks, stride_zb, stride_zl, stride_dyb, stride_dyl, d: tl.constexpr, n: tl.constexpr,
    STEPS: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr, ADDEND: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    """Grid (chunks, channel blocks, 2 b): gradients of a chunk, from its end to its start, block after block of STEPS.

    du and ddelta (2, b, padded, d), the latter before the softplus; partial sums over channels: dsmall (channel blocks,
    2, b, 2n, padded); partial sums over time: dparameters (2, b, chunks, n + 2, d) of A, the bias of delta, and D.
    """
    i_c, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    batch = tl.num_programs(2) // 2
    i_dir, i_b = i_db // batch, i_db % batch
    sign, rows = 1 - 2 * i_dir, tl.arange(0, STEPS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d = below(o_d, d, CHANNELS)
    i_sum, pairs = tl.arange(0, ROWS), tl.arange(0, CHANNELS)
    ones = tl.where(i_sum[:, None] == (pairs % 2)[None, :], 1.0, 0.0).to(ADDEND)
    m_sums = (i_sum < 2)[:, None] & (rows >= 0)[None, :]
    p_z += i_b.to(tl.int64) * stride_zb
    p_dy += i_b.to(tl.int64) * stride_dyb
    o_chunk = i_db.to(tl.int64) * tl.num_programs(0) + i_c
    p_carry = p_adjoint + o_chunk * n * d + o_d
    p_sums = p_dparameters + o_chunk * (n + 2) * d + o_d
    zero = tl.zeros([CHANNELS], tl.float32)
    zeros = tl.zeros([STEPS, CHANNELS], tl.float32)
    for i_n in range(n):
        tl.store(p_sums + i_n * d, zero, m_d)
    D = tl.load(p_D + i_dir * d + o_d, m_d, 0.0).to(tl.float32)
    dD, d_bias = zero, zero
    for i_back in range(blocks):
        i = blocks - 1 - i_back
        s_0 = (i_c * blocks + i) * STEPS
        t_0 = i_dir * (padded - 1) + sign * s_0
        o_tile = (i_db.to(tl.int64) * padded + s_0) * d + rows[:, None] * d + o_d[None, :]
        delta = tl.load(p_delta + o_tile, m_d[None, :], 0.0).to(tl.float32)
        u = tl.load(p_u + o_tile, m_d[None, :], 0.0).to(tl.float32)
        x = delta * u
        ds = ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl)
        dD += tl.sum(ds * u, 0)
        sum_A, sum_B = zeros, zeros
        p_B = p_small + (i_db.to(tl.int64) * (rank + 2 * n) + rank) * padded + s_0
        p_dB = p_dsmall + (i_d * tl.num_programs(2) + i_db).to(tl.int64) * 2 * n * padded + s_0
        p_block = p_states + (o_chunk * blocks + i) * n * d + o_d
        for i_n in range(n):
            A = tl.load(p_A + (i_dir * n + i_n) * d + o_d, m_d, 0.0)
            B = tl.load(p_B + rows)
            C = tl.load(p_B + n * padded + rows)
            p_B += padded
            state = tl.load(p_block + i_n * d, m_d, 0.0).to(tl.float32)
            carry = tl.load(p_carry + i_n * d, m_d, 0.0)
            sum_exponent = tl.load(p_sums + i_n * d, m_d, 0.0)
            decay, added, dstate = tl.exp2(A[None, :] * delta), x * B[:, None], ds * C[:, None]
            before, after, carries, adjoint = zeros, zeros, zeros, zeros
            for j in tl.static_range(STEPS):
                before = with_row(before, rows, j, state)
                state = row(decay, rows, j) * state + row(added, rows, j)
                after = with_row(after, rows, j, state)
            for j in tl.static_range(STEPS - 1, -1, -1):
                total = row(dstate, rows, j) + carry
                carry = row(decay, rows, j) * total
                adjoint = with_row(adjoint, rows, j, total)
                carries = with_row(carries, rows, j, carry)
            tl.store(p_carry + i_n * d, carry, m_d)
            dexponent = carries * before
            sum_A += A[None, :] * dexponent
            sum_B += adjoint * B[:, None]
            tl.store(p_sums + i_n * d, sum_exponent + tl.sum(dexponent * delta, 0), m_d)
            sums = sums_over_channels(adjoint * x, after * ds, ones, PRECISE)
            tl.store(p_dB + (i_sum * n)[:, None] * padded + rows[None, :], sums, m_sums)
            p_dB += padded
        du = D[None, :] * ds + delta * sum_B
        tl.store(p_du + o_tile, du.to(p_du.dtype.element_ty), m_d[None, :])
        # softplus' = 1 - exp(-delta), by its series where that difference would lose digits
        series = delta * (1 - delta * (1 / 2 - delta * (1 / 6 - delta * (1 / 24 - delta / 120))))
        slope = tl.where(delta < 1 / 16, series, 1 - tl.exp2(delta * -LOG2E))
        # u is read again, which costs less than its registers
        u = tl.load(p_u + o_tile, m_d[None, :], 0.0).to(tl.float32)
        ddelta = (u * sum_B + sum_A * LN2) * slope
        d_bias += tl.sum(ddelta, 0)
        tl.store(p_ddelta + o_tile, ddelta.to(p_ddelta.dtype.element_ty), m_d[None, :])
    tl.store(p_sums + n * d, d_bias, m_d)
    tl.store(p_sums + (n + 1) * d, dD, m_d)


@triton.jit
def inputs_bwd_kernel(
    p_c, p_u, p_x_proj, p_small, p_dsmall, p_ddelta, p_du, p_dparameters, padded, d, rank, rank_2n, group,
    STEPS: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr, RANKS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """Grid (groups of step blocks, channel blocks, 2 b): du, in place, becomes the gradient of c.

    Partial sums over time: dparameters (2, b, groups, rank + 2n + rank, d) of x_proj and dt_proj.
    """
    i_g, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    i_dir = tl.program_id(2) // (tl.num_programs(2) // 2)
    steps, rows, ranks = tl.arange(0, STEPS), tl.arange(0, ROWS), tl.arange(0, RANKS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d, m_row, m_rank = (o_d < d)[None, :], (rows < rank_2n)[:, None], (ranks < rank)[:, None]
    o_weight = (i_dir * rank_2n + rows)[:, None] * d + o_d[None, :]
    x_proj = tl.load(p_x_proj + o_weight, m_row & m_d, 0.0).to(FACTOR)
    dx_proj = tl.zeros([ROWS, CHANNELS], tl.float32)
    d_dt_proj = tl.zeros([RANKS, CHANNELS], tl.float32)
    p_dsmall += i_db * rank_2n * padded + rows[:, None].to(tl.int64) * padded
    p_small += i_db * rank_2n * padded + ranks[:, None].to(tl.int64) * padded
    for i in range(group):
        s = (i_g * group + i) * STEPS + steps
        m_s = s < padded
        mask = m_s[:, None] & m_d
        o_block = (i_db * padded + s)[:, None] * d + o_d[None, :]
        dsmall = tl.load(p_dsmall + s[None, :], m_row & m_s[None, :], 0.0).to(FACTOR)
        dt = tl.load(p_small + s[None, :], m_rank & m_s[None, :], 0.0).to(FACTOR)
        d_dt_proj = tl.dot(dt, tl.load(p_ddelta + o_block, mask, 0.0).to(FACTOR), d_dt_proj, input_precision='tf32x3')
        dx_proj = tl.dot(dsmall, tl.load(p_u + o_block, mask, 0.0).to(FACTOR), dx_proj, input_precision='tf32x3')
        du = tl.load(p_du + o_block, mask, 0.0).to(tl.float32)
        du += tl.dot(tl.trans(dsmall), x_proj, input_precision='tf32x3')
        c = tl.load(p_c + o_block, mask, 0.0).to(tl.float32)
        gate = sigmoid(c)
        tl.store(p_du + o_block, (du * gate * (1 + c * (1 - gate))).to(p_du.dtype.element_ty), mask)
    p_sums = p_dparameters + (i_db * tl.num_programs(0) + i_g) * (rank_2n + rank) * d + o_d[None, :]
    tl.store(p_sums + rows[:, None] * d, dx_proj, m_row & m_d)
    tl.store(p_sums + (rank_2n + ranks)[:, None] * d, d_dt_proj, m_rank & m_d)


@triton.jit(do_not_specialize_on_alignment=[*UNALIGNED, 'p_x'])
def convolve_bwd_kernel(
    p_x, p_dc, p_weight, p_dx, p_dparameters, length, padded, group, stride_b, stride_l,
    d: tl.constexpr, width: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (groups of token blocks, channel blocks, b): both convolutions transposed, dc (2, b, padded, d) -> dx.

    Partial sums over time: dparameters (b, groups, 2 (width + 1), d) of the convolutions' weights and biases.
    """
    i_g, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    tokens = tl.arange(0, STEPS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d = o_d < d
    p_sums = p_dparameters + (i_b * tl.num_programs(0) + i_g) * 2 * (width + 1) * d + o_d
    for i in range(2 * (width + 1)):
        tl.store(p_sums + i * d, tl.zeros([CHANNELS], tl.float32), m_d)
    for i in range(group):
        t_0 = (i_g * group + i) * STEPS
        mask = (t_0 + tokens < length)[:, None] & m_d[None, :]
        p_block = p_x + i_b * stride_b + t_0.to(tl.int64) * stride_l
        x = tl.load(p_block + tokens[:, None] * stride_l + o_d[None, :], mask, 0.0).to(tl.float32)
        dx = tl.zeros([STEPS, CHANNELS], tl.float32)
        for i_dir in tl.static_range(2):
            s = t_0 if i_dir == 0 else padded - 1 - t_0
            p_block = p_dc + ((i_dir * tl.num_programs(2) + i_b) * padded + s) * d
            for i_w in tl.static_range(width):
                offset = (tokens if i_dir == 0 else -tokens) + (width - 1 - i_w)
                m_s = (s + offset < padded) & (s + offset >= 0)
                dc = tl.load(p_block + offset[:, None] * d + o_d[None, :], m_s[:, None] & m_d[None, :], 0.0)
                dc = dc.to(tl.float32)
                dx += dc * tl.load(p_weight + (i_dir * width + i_w) * d + o_d, m_d, 0.0).to(tl.float32)[None, :]
                p_sum = p_sums + (i_dir * (width + 1) + i_w) * d
                tl.store(p_sum, tl.load(p_sum, m_d, 0.0) + tl.sum(dc * x, 0), m_d)
                if i_w == width - 1:
                    tl.store(p_sum + d, tl.load(p_sum + d, m_d, 0.0) + tl.sum(dc, 0), m_d)
        p_block = p_dx + (i_b * length + t_0) * d
        tl.store(p_block + tokens[:, None] * d + o_d[None, :], dx.to(p_dx.dtype.element_ty), mask)
