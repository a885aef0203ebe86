"""Kernels of the bidirectional scan, backward: adjoint states of the chunks, gradients of the scan, of its inputs.

Layouts as in `triton_forward`. No sum is atomic: what programs share goes through buffers of partial sums.
"""

import triton
import triton.language as tl

from gsm_plugin.ops.bidirectional_scan.triton_forward import (
    FORGOTTEN,
    LOG2E,
    UNALIGNED,
    convolve,
    multiply_add,
    row,
    sigmoid,
)

LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def adjoint_step(decay_0, carry_0, adjoint_0, decay_1, carry_1, adjoint_1):
    """Combines two steps of `adjoint = decay of the step before * adjoint + input`; carry is 1 in a single step."""
    scale = carry_1 * decay_0
    return decay_1, scale * carry_0, scale * adjoint_0 + adjoint_1


@triton.jit
def ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl):
    """Gradient of the sum of both directions before its gate, (steps, channels)."""
    mask = (t_0 + sign * rows < length)[:, None] & m_d[None, :]
    o_step = (sign * rows)[:, None]
    z = tl.load(p_z + t_0.to(tl.int64) * stride_zl + o_step * stride_zl + o_d[None, :], mask, 0.0).to(tl.float32)
    dy = tl.load(p_dy + t_0.to(tl.int64) * stride_dyl + o_step * stride_dyl + o_d[None, :], mask, 0.0)
    return dy.to(tl.float32) * z * sigmoid(z)


@triton.jit(do_not_specialize_on_alignment=UNALIGNED)
def chunk_start_bwd_kernel(
    p_dy, p_z, p_delta, p_small, p_A, p_start, p_total,
    length, padded, rank, blocks, stride_dyb, stride_dyl, stride_zb, stride_zl,
    d: tl.constexpr, n: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks, channel blocks, 2 b): adjoint that a chunk hands to the one before -> start (2, b, chunks, n, d).

    Goes from the start of the chunk to its end, and stops where nothing that comes later matters.
    """
    i_c, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    batch = tl.num_programs(2) // 2
    i_dir, i_b = i_db // batch, i_db % batch
    sign, rows = 1 - 2 * i_dir, tl.arange(0, STEPS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d = o_d < d
    p_dy += i_b.to(tl.int64) * stride_dyb
    p_z += i_b.to(tl.int64) * stride_zb
    p_C = p_small + (i_db.to(tl.int64) * (rank + 2 * n) + rank + n) * padded
    p_A += i_dir * n * d + o_d
    o_chunk = i_db.to(tl.int64) * tl.num_programs(0) + i_c
    p_start += o_chunk * n * d + o_d
    slowest = tl.full([CHANNELS], 1e30, tl.float32)
    for i_n in range(n):
        tl.store(p_start + i_n * d, tl.zeros([CHANNELS], tl.float32), m_d)
        slowest = tl.minimum(slowest, -tl.load(p_A + i_n * d, m_d, -1e30))
    before = tl.zeros([CHANNELS], tl.float32)
    reach = 0.0
    i = 0
    while (i < blocks) & (reach < FORGOTTEN):
        s_0 = (i_c * blocks + i) * STEPS
        t_0 = i_dir * (padded - 1) + sign * s_0
        o_block = (i_db.to(tl.int64) * padded + s_0) * d + rows[:, None] * d + o_d[None, :]
        delta = tl.load(p_delta + o_block, m_d[None, :], 0.0).to(tl.float32)
        ds = ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl)
        inclusive = tl.cumsum(delta, 0) + before[None, :]
        before = row(inclusive, rows, STEPS - 1)
        p_row = p_C + s_0
        for i_n in range(n):
            A = tl.load(p_A + i_n * d, m_d, 0.0)
            C = tl.load(p_row + rows)
            p_row += padded
            added = tl.sum(tl.exp2(A[None, :] * inclusive) * (ds * C[:, None]), 0)
            tl.store(p_start + i_n * d, tl.load(p_start + i_n * d, m_d, 0.0) + added, m_d)
        reach = tl.min(before * slowest, 0)
        i += 1
    tl.store(p_total + o_chunk * d + o_d, before, m_d)


@triton.jit
def sum_over_channels(block, ones, PRECISE: tl.constexpr):
    """Sums of a (steps, channels) block over its channels, in every column of a (steps, 16) block.

    The tensor cores add, in float32, addends rounded to the type of `ones`; if PRECISE, also what that cut off.
    """
    high = block.to(ones.dtype)
    total = tl.dot(high, ones)
    if PRECISE:
        total = tl.dot((block - high.to(tl.float32)).to(ones.dtype), ones, total)
    return total


@triton.jit(do_not_specialize_on_alignment=UNALIGNED)
def scan_bwd_kernel(
    p_u, p_delta, p_z, p_dy, p_small, p_A, p_D, p_entry, p_adjoint, p_states,
    p_du, p_ddelta, p_dz, p_dsmall, p_dparameters,
    length, padded, rank, blocks, stride_zb, stride_zl, stride_dyb, stride_dyl, d: tl.constexpr, n: tl.constexpr,
    STEPS: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, ADDEND: tl.constexpr, PRECISE: tl.constexpr,
):  # fmt: skip
    """Grid (chunks, channel blocks, b): gradients of a chunk, both directions one after the other.

    du and ddelta (2, b, padded, d), the latter before the softplus; dz (b, length, d); partial sums over channels:
    dsmall (channel blocks, 2, b, 2n, padded); partial sums over time: dparameters (2, b, chunks, n + 2, d) of A, the
    bias of delta, and D. A direction goes forwards, keeping the state that enters each block, then backwards.
    """
    i_c, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    chunks, batch = tl.num_programs(0), tl.num_programs(2)
    rows, i_state = tl.arange(0, STEPS), tl.arange(0, STATES)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d = o_d < d
    ones = tl.full([CHANNELS, STATES], 1.0, ADDEND)
    zero = tl.zeros([CHANNELS], tl.float32)
    p_z += i_b.to(tl.int64) * stride_zb
    p_dy += i_b.to(tl.int64) * stride_dyb
    p_dz += i_b.to(tl.int64) * length * d
    p_states += (i_b.to(tl.int64) * chunks + i_c) * blocks * n * d + o_d
    for i_dir in range(2):
        sign = 1 - 2 * i_dir
        i_db = (i_dir * batch + i_b).to(tl.int64)
        i_chunk = i_c + i_dir * (chunks - 1 - 2 * i_c)
        o_state = (i_db * chunks + i_chunk) * n * d + o_d
        p_sums = p_dparameters + (i_db * chunks + i_chunk) * (n + 2) * d + o_d
        for i_n in range(n):
            tl.store(p_states + i_n * d, tl.load(p_entry + o_state + i_n * d, m_d, 0.0), m_d)
            tl.store(p_sums + i_n * d, zero, m_d)
        D = tl.load(p_D + i_dir * d + o_d, m_d, 0.0).to(tl.float32)

        for i in range(blocks):
            s_0 = (i_chunk * blocks + i) * STEPS
            o_block = (i_db * padded + s_0) * d + rows[:, None] * d + o_d[None, :]
            delta = tl.load(p_delta + o_block, m_d[None, :], 0.0).to(tl.float32)
            u = tl.load(p_u + o_block, m_d[None, :], 0.0).to(tl.float32)
            x = delta * u
            y = D[None, :] * u
            p_B = p_small + (i_db * (rank + 2 * n) + rank) * padded + s_0
            for i_n in range(n):
                A = tl.load(p_A + (i_dir * n + i_n) * d + o_d, m_d, 0.0)
                B = tl.load(p_B + rows)
                C = tl.load(p_B + n * padded + rows)
                p_B += padded
                p_state = p_states + (i * n + i_n) * d
                state = tl.load(p_state, m_d, 0.0)
                decay = tl.exp2(A[None, :] * delta)
                added = x * B[:, None]
                added = tl.where((rows == 0)[:, None], added + decay * state[None, :], added)
                _, states = tl.associative_scan((decay, added), 0, multiply_add)
                y += states * C[:, None]
                if i + 1 < blocks:
                    tl.store(p_state + n * d, row(states, rows, STEPS - 1), m_d)
            t_0 = i_dir * (padded - 1) + sign * s_0
            mask = (t_0 + sign * rows < length)[:, None] & m_d[None, :]
            p_out = p_dz + t_0.to(tl.int64) * d + (sign * rows)[:, None] * d + o_d[None, :]
            if i_dir == 1:
                o_z = t_0.to(tl.int64) * stride_zl + (sign * rows)[:, None] * stride_zl + o_d[None, :]
                o_dy = t_0.to(tl.int64) * stride_dyl + (sign * rows)[:, None] * stride_dyl + o_d[None, :]
                z = tl.load(p_z + o_z, mask, 0.0).to(tl.float32)
                dy = tl.load(p_dy + o_dy, mask, 0.0).to(tl.float32)
                gate = sigmoid(z)
                y = (y + tl.load(p_out, mask, 0.0).to(tl.float32)) * dy * gate * (1 + z * (1 - gate))
            tl.store(p_out, y.to(p_dz.dtype.element_ty), mask)
        tl.debug_barrier()

        dD, d_bias = zero, zero
        for i_back in range(blocks):
            i = blocks - 1 - i_back
            s_0 = (i_chunk * blocks + i) * STEPS
            t_0 = i_dir * (padded - 1) + sign * s_0
            o_block = (i_db * padded + s_0) * d + rows[:, None] * d + o_d[None, :]
            delta = tl.load(p_delta + o_block, m_d[None, :], 0.0).to(tl.float32)
            u = tl.load(p_u + o_block, m_d[None, :], 0.0).to(tl.float32)
            x = delta * u
            ds = ungated(p_dy, p_z, t_0, rows, sign, length, o_d, m_d, stride_dyl, stride_zl)
            dD += tl.sum(ds * u, 0)
            dB = tl.zeros([STEPS, STATES], tl.float32)
            dC = tl.zeros([STEPS, STATES], tl.float32)
            sum_B = tl.zeros([STEPS, CHANNELS], tl.float32)
            sum_A = tl.zeros([STEPS, CHANNELS], tl.float32)
            p_B = p_small + (i_db * (rank + 2 * n) + rank) * padded + s_0
            for i_n in range(n):
                A = tl.load(p_A + (i_dir * n + i_n) * d + o_d, m_d, 0.0)
                B = tl.load(p_B + rows)
                C = tl.load(p_B + n * padded + rows)
                p_B += padded
                state = tl.load(p_states + (i * n + i_n) * d, m_d, 0.0)
                carry = tl.load(p_adjoint + o_state + i_n * d, m_d, 0.0)
                sum_exponent = tl.load(p_sums + i_n * d, m_d, 0.0)
                decay = tl.exp2(A[None, :] * delta)
                added = x * B[:, None]
                first = tl.where((rows == 0)[:, None], added + decay * state[None, :], added)
                _, states = tl.associative_scan((decay, first), 0, multiply_add)
                dstate = ds * C[:, None]
                dstate = tl.where((rows == STEPS - 1)[:, None], dstate + carry[None, :], dstate)
                one = tl.full([STEPS, CHANNELS], 1.0, tl.float32)
                _, _, adjoint = tl.associative_scan((tl.flip(decay, 0), one, tl.flip(dstate, 0)), 0, adjoint_step)
                adjoint = tl.flip(adjoint, 0)
                tl.store(p_adjoint + o_state + i_n * d, row(adjoint * decay, rows, 0), m_d)
                # adjoint * decay * (state before the step)
                dexponent = adjoint * (states - added)
                sum_A += A[None, :] * dexponent
                sum_B += adjoint * B[:, None]
                tl.store(p_sums + i_n * d, sum_exponent + tl.sum(dexponent * delta, 0), m_d)
                column = (i_state == i_n)[None, :]
                dB += tl.where(column, sum_over_channels(adjoint * x, ones, PRECISE), 0.0)
                dC += tl.where(column, sum_over_channels(states * ds, ones, PRECISE), 0.0)
            du = D[None, :] * ds + delta * sum_B
            tl.store(p_du + o_block, du.to(p_du.dtype.element_ty), m_d[None, :])
            # softplus' = 1 - exp(-delta), by its series where that difference would lose digits
            series = delta * (1 - delta * (1 / 2 - delta * (1 / 6 - delta * (1 / 24 - delta / 120))))
            slope = tl.where(delta < 1 / 16, series, 1 - tl.exp2(delta * -LOG2E))
            ddelta = (u * sum_B + sum_A * LN2) * slope
            d_bias += tl.sum(ddelta, 0)
            tl.store(p_ddelta + o_block, ddelta.to(p_ddelta.dtype.element_ty), m_d[None, :])
            o_small = ((i_d * 2 * batch + i_db) * 2 * n + i_state[None, :]) * padded + s_0 + rows[:, None]
            m_n = (i_state < n)[None, :] & (rows >= 0)[:, None]
            tl.store(p_dsmall + o_small, dB, m_n)
            tl.store(p_dsmall + o_small + n * padded, dC, m_n)
        tl.store(p_sums + n * d, d_bias, m_d)
        tl.store(p_sums + (n + 1) * d, dD, m_d)
        tl.debug_barrier()


@triton.jit
def inputs_bwd_kernel(
    p_x, p_weight, p_bias, p_x_proj, p_small, p_dsmall, p_ddelta, p_du, p_dparameters,
    length, padded, d, width, rank, rank_2n, group, stride_b, stride_l,
    STEPS: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr, RANKS: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """Grid (groups of step blocks, channel blocks, 2 b): du, in place, becomes the gradient before the SiLU.

    Partial sums over time: dparameters (2, b, groups, rank + 2n + rank, d) of x_proj and dt_proj.
    """
    i_g, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    batch = tl.num_programs(2) // 2
    i_dir, i_b = i_db // batch, i_db % batch
    sign, steps = 1 - 2 * i_dir, tl.arange(0, STEPS)
    rows, ranks = tl.arange(0, ROWS), tl.arange(0, RANKS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d, m_row = o_d < d, (rows < rank_2n)[:, None]
    p_x += i_b.to(tl.int64) * stride_b
    o_small = i_db.to(tl.int64) * rank_2n * padded
    x_proj = tl.load(p_x_proj + (i_dir * rank_2n + rows)[:, None] * d + o_d[None, :], m_row & m_d[None, :], 0.0)
    x_proj = x_proj.to(FACTOR)
    dx_proj = tl.zeros([ROWS, CHANNELS], tl.float32)
    d_dt_proj = tl.zeros([RANKS, CHANNELS], tl.float32)
    for i in range(group):
        s_0 = (i_g * group + i) * STEPS
        t_0 = i_dir * (padded - 1) + sign * s_0
        m_s = s_0 + steps < padded
        t = t_0 + sign * steps
        mask = ((t >= 0) & (t < length) & m_s)[:, None] & m_d[None, :]
        o_row = o_small + rows[:, None].to(tl.int64) * padded + (s_0 + steps)[None, :]
        dsmall = tl.load(p_dsmall + o_row, m_row & m_s[None, :], 0.0).to(FACTOR)
        o_rank = o_small + ranks[:, None].to(tl.int64) * padded + (s_0 + steps)[None, :]
        dt = tl.load(p_small + o_rank, (ranks < rank)[:, None] & m_s[None, :], 0.0).to(FACTOR)
        c = convolve(
            p_x, p_weight + i_dir * width * d, p_bias + i_dir * d, t_0, steps, sign, length, o_d, m_d, stride_l,
            d, width,
        )  # fmt: skip
        gate = sigmoid(c)
        o_block = ((i_db.to(tl.int64) * padded + s_0 + steps) * d)[:, None] + o_d[None, :]
        ddelta = tl.load(p_ddelta + o_block, mask, 0.0).to(FACTOR)
        d_dt_proj = tl.dot(dt, ddelta, d_dt_proj, input_precision='tf32x3')
        dx_proj = tl.dot(dsmall, tl.where(mask, c * gate, 0.0).to(FACTOR), dx_proj, input_precision='tf32x3')
        du = tl.load(p_du + o_block, mask, 0.0).to(tl.float32)
        du += tl.dot(tl.trans(dsmall), x_proj, input_precision='tf32x3')
        dc = tl.where(mask, du * gate * (1 + c * (1 - gate)), 0.0)
        tl.store(p_du + o_block, dc.to(p_du.dtype.element_ty), m_s[:, None] & m_d[None, :])
    p_sums = p_dparameters + (i_db.to(tl.int64) * tl.num_programs(0) + i_g) * (rank_2n + rank) * d
    tl.store(p_sums + rows[:, None] * d + o_d[None, :], dx_proj, m_row & m_d[None, :])
    tl.store(p_sums + (rank_2n + ranks)[:, None] * d + o_d[None, :], d_dt_proj, (ranks < rank)[:, None] & m_d[None, :])


@triton.jit(do_not_specialize_on_alignment=[*UNALIGNED, 'p_x'])
def convolve_bwd_kernel(
    p_x, p_dc, p_weight, p_dx, p_dparameters, length, padded, group, stride_b, stride_l,
    d: tl.constexpr, width: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (groups of token blocks, channel blocks, b): both convolutions transposed, dc (2, b, padded, d) -> dx.

    Partial sums over time: dparameters (b, groups, 2 (width + 1), d) of the convolutions' weights and biases.
    """
    i_g, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    tokens = tl.arange(0, STEPS)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    m_d = o_d < d
    p_x += i_b.to(tl.int64) * stride_b
    p_sums = p_dparameters + (i_b.to(tl.int64) * tl.num_programs(0) + i_g) * 2 * (width + 1) * d + o_d
    zero = tl.zeros([CHANNELS], tl.float32)
    for i in range(2 * (width + 1)):
        tl.store(p_sums + i * d, zero, m_d)
    for i in range(group):
        t_0 = (i_g * group + i) * STEPS
        m_t = t_0 + tokens < length
        o_x = t_0.to(tl.int64) * stride_l + tokens[:, None] * stride_l + o_d[None, :]
        x = tl.load(p_x + o_x, m_t[:, None] & m_d[None, :], 0.0).to(tl.float32)
        dx = tl.zeros([STEPS, CHANNELS], tl.float32)
        for i_dir in range(2):
            sign = 1 - 2 * i_dir
            s = i_dir * (padded - 1) + sign * (t_0 + tokens)
            o_direction = (i_dir * tl.num_programs(2) + i_b).to(tl.int64) * padded * d
            for i_w in tl.static_range(width):
                s_from = s + width - 1 - i_w
                mask = ((s_from < padded) & m_t)[:, None] & m_d[None, :]
                dc = tl.load(p_dc + o_direction + s_from.to(tl.int64)[:, None] * d + o_d[None, :], mask, 0.0)
                dc = dc.to(tl.float32)
                weight = tl.load(p_weight + (i_dir * width + i_w) * d + o_d, m_d, 0.0).to(tl.float32)
                dx += dc * weight[None, :]
                p_sum = p_sums + (i_dir * (width + 1) + i_w) * d
                tl.store(p_sum, tl.load(p_sum, m_d, 0.0) + tl.sum(dc * x, 0), m_d)
                if i_w == width - 1:
                    tl.store(p_sum + d, tl.load(p_sum + d, m_d, 0.0) + tl.sum(dc, 0), m_d)
        p_out = p_dx + (i_b.to(tl.int64) * length + t_0) * d + tokens[:, None] * d + o_d[None, :]
        tl.store(p_out, dx.to(p_dx.dtype.element_ty), m_t[:, None] & m_d[None, :])
