"""Kernels of the bidirectional scan, backward: adjoint states of the chunks, gradients of the scan, of its inputs.

Steps, chunks and tiles as in `triton_forward` and `triton_tiles`. No sum is atomic: what programs share goes through
buffers of partial sums.
"""

import triton
import triton.language as tl

from gsm_plugin.ops._triton.masks import below
from gsm_plugin.ops.bidirectional_scan.triton_tiles import FORGOTTEN, LOG2E, UNALIGNED, row, sigmoid, with_row

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
    length, padded, row_length, chunks, tiles, stride_dyb, stride_dyl, stride_zb, stride_zl,
    d: tl.constexpr, n: tl.constexpr, STATES: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks - 1, channel blocks, 2 b): adjoint that a chunk but the first hands to the one before it.

    Goes from the start of the chunk to its end, and stops where nothing that comes later matters, or where nothing
    comes; -> start (2, b, chunks, n, d).
    """
    i_c, i_d, i_db = tl.program_id(0) + 1, tl.program_id(1), tl.program_id(2)
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
    i_end = tl.minimum(tl.cdiv(length + i_dir * (padded - length), STEPS) - i_c * tiles, tiles)
    while (i < i_end) & (reach < FORGOTTEN):
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
    o_chunk = i_db.to(tl.int64) * chunks + i_c
    tl.store(p_start + o_chunk * n * d + o_state, start, m_state)
    tl.store(p_total + o_chunk * d + o_d, before, m_d)


@triton.jit
def addends(first, second, ADDEND: tl.constexpr):
    """What the tensor cores are to add of two (steps, channels) tiles, and what rounding it cut off, (channels, steps).

    A thread adds two channels itself, half of all apart; pairs of rows are from the first and from the second tile.
    """
    steps: tl.constexpr = first.shape[0]
    halves = tl.join(first, second).reshape(steps, 2, first.shape[1] // 2, 2)
    pairs = tl.trans(tl.sum(halves, 1).reshape(steps, first.shape[1]))
    high = pairs.to(ADDEND)
    return high, (pairs - high.to(tl.float32)).to(ADDEND)


@triton.jit
def store_sums(p_sums, stride, high, low, ROWS: tl.constexpr, PRECISE: tl.constexpr):
    """Sums over channels, of the first and of the second tile."""
    rows, columns, steps = tl.arange(0, ROWS), tl.arange(0, high.shape[0]), tl.arange(0, high.shape[1])
    ones = tl.where(rows[:, None] == (columns % 2)[None, :], 1.0, 0.0).to(high.dtype)
    total = tl.dot(ones, high)
    if PRECISE:
        total = tl.dot(ones, low, total)
    tl.store(p_sums + rows[:, None] * stride + steps[None, :], total, (rows < 2)[:, None] & (steps >= 0)[None, :])


@triton.jit
def load_state(p_A, p_B, p_C, p_state, p_carry, p_sum, rows, m_d):
    A = tl.load(p_A, m_d, 0.0)
    state = tl.load(p_state, m_d, 0.0)
    carry, sum_exponent = tl.load(p_carry, m_d, 0.0), tl.load(p_sum, m_d, 0.0)
    return A, tl.load(p_B + rows), tl.load(p_C + rows), state, carry, sum_exponent


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
        p_A_dir = p_A + i_dir * n * d + o_d
        A, B, C, state, carry, sum_exponent = load_state(
            p_A_dir, p_B, p_B + n * padded, p_block, p_carry, p_sums, rows, m_d
        )
        high = tl.zeros([CHANNELS, STEPS], ADDEND)
        low = high
        for i_n in range(n):
            # so that nothing is waited for, the numbers of the next state are read, and the sums of the one before are
            # added, while this one is computed; the first time around, zeros are written where sums will be
            i_next = tl.minimum(i_n + 1, n - 1)
            p_next = p_B + i_next * padded
            next_A, next_B, next_C, next_state, next_carry, next_sum = load_state(
                p_A_dir + i_next * d, p_next, p_next + n * padded, p_block + i_next * d, p_carry + i_next * d,
                p_sums + i_next * d, rows, m_d,
            )  # fmt: skip
            state = state.to(tl.float32)
            store_sums(p_dB + tl.maximum(i_n - 1, 0) * padded, n * padded, high, low, ROWS, PRECISE)
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
            high, low = addends(adjoint * x, after * ds, ADDEND)
            A, B, C, state, carry, sum_exponent = next_A, next_B, next_C, next_state, next_carry, next_sum
        store_sums(p_dB + (n - 1) * padded, n * padded, high, low, ROWS, PRECISE)
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
    p_c, p_x_proj, p_small, p_dsmall, p_ddelta, p_du, p_dparameters, padded, d, rank, rank_2n, group,
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
        c = tl.load(p_c + o_block, mask, 0.0).to(tl.float32)
        gate = sigmoid(c)
        dx_proj = tl.dot(dsmall, (c * gate).to(FACTOR), dx_proj, input_precision='tf32x3')
        du = tl.load(p_du + o_block, mask, 0.0).to(tl.float32)
        du += tl.dot(tl.trans(dsmall), x_proj, input_precision='tf32x3')
        tl.store(p_du + o_block, (du * gate * (1 + c * (1 - gate))).to(p_du.dtype.element_ty), mask)
    p_sums = p_dparameters + (i_db * tl.num_programs(0) + i_g) * (rank_2n + rank) * d + o_d[None, :]
    tl.store(p_sums + rows[:, None] * d, dx_proj, m_row & m_d)
    tl.store(p_sums + (rank_2n + ranks)[:, None] * d, d_dt_proj, m_rank & m_d)
