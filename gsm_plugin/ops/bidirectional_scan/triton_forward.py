"""Kernels of the bidirectional scan, forward: projections, ends of the chunks, their chain, scan and gate.

Both directions are the same code: step s of a direction is token `origin + sign * s`. A sequence is cut into chunks of
equal length; the steps that only fill up a chunk have delta 0, which leaves a state as it is. For tiles
see `triton_tiles`.
"""

import triton
import triton.language as tl

from gsm_plugin.ops._triton.instructions import prefetch
from gsm_plugin.ops._triton.masks import below
from gsm_plugin.ops.bidirectional_scan.triton_tiles import (
    FORGOTTEN,
    UNALIGNED,
    channels_of,
    lines_of_channels,
    lines_of_steps,
    row,
    sigmoid,
    silu_in_half_precision,
    softplus,
    with_row,
)


@triton.jit
def multiply_add(decay_0, state_0, decay_1, state_1):
    """Combines two steps of `state = decay * state + input`."""
    return decay_0 * decay_1, decay_1 * state_0 + state_1


@triton.jit
def project_fwd_kernel(
    p_u, p_x_proj, p_dt_proj, p_dt_bias, p_steps, p_small, p_delta,
    length, padded, d, rank, rank_2n, row_length,
    FOR_GRADIENT: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Grid (step blocks, 2, b): B, C -> steps (2, b, padded, row length), and delta (2, b, padded, d).

    FOR_GRADIENT: also small (2, b, rank + 2n, padded), which is dt, B, C.
    """
    i_s, i_dir, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    s, rows = i_s * STEPS + tl.arange(0, STEPS), tl.arange(0, ROWS)
    m_s, m_row, two_n = (s < padded)[:, None], rows < rank_2n, rank_2n - rank
    o_row = tl.where(rows < two_n, rows + rank, rows - two_n)
    i_db = (i_dir * tl.num_programs(2) + i_b).to(tl.int64)
    o_step = (i_db * padded + s) * d
    factor: tl.constexpr = p_x_proj.dtype.element_ty
    total = tl.zeros([ROWS, STEPS], tl.float32)
    for i_d in range(0, d, CHANNELS):
        o_d = i_d + tl.arange(0, CHANNELS)
        m_d = o_d < d
        u = tl.load(p_u + o_step[:, None] + o_d[None, :], m_s & m_d[None, :], 0.0).to(factor)
        o_weight = (i_dir * rank_2n + o_row)[:, None] * d + o_d[None, :]
        x_proj = tl.load(p_x_proj + o_weight, m_row[:, None] & m_d[None, :], 0.0)
        total = tl.dot(x_proj, tl.trans(u), total, input_precision='tf32x3')
    m_total = m_row[:, None] & (s < padded)[None, :]
    p_step = p_steps + (i_db * padded + s)[None, :] * row_length + rows[:, None]
    tl.store(p_step, total, m_total & (rows < two_n)[:, None])
    if FOR_GRADIENT:
        tl.store(p_small + i_db * rank_2n * padded + o_row[:, None].to(tl.int64) * padded + s[None, :], total, m_total)
    # 60000 and not infinity in float16
    total = tl.clamp(total, -60000.0, 60000.0) if factor == tl.float16 else total
    dt, m_dt = tl.trans(total).to(factor), (rows >= two_n) & m_row
    dtype: tl.constexpr = p_delta.dtype.element_ty
    # none for steps that fill up a chunk
    inside = s < length if i_dir == 0 else s >= padded - length
    most = tl.where(inside, 60000.0 if dtype == tl.float16 else float('inf'), 0.0)[:, None]
    for i_d in range(0, d, CHANNELS):
        o_d = i_d + tl.arange(0, CHANNELS)
        m_d = o_d < d
        o_weight = (i_dir * rank + o_row)[:, None] * d + o_d[None, :]
        dt_proj = tl.load(p_dt_proj + o_weight, m_dt[:, None] & m_d[None, :], 0.0)
        raw = tl.dot(dt, dt_proj, input_precision='tf32x3')
        raw += tl.load(p_dt_bias + i_dir * d + o_d, m_d, 0.0).to(tl.float32)[None, :]
        delta = tl.minimum(softplus(raw, dtype == tl.float16), most)
        tl.store(p_delta + o_step[:, None] + o_d[None, :], delta.to(dtype), m_s & m_d[None, :])


@triton.jit
def chunk_end_fwd_kernel(
    p_u, p_delta, p_steps, p_A, p_end, p_total, length, padded, row_length, chunks, tiles,
    d: tl.constexpr, n: tl.constexpr, STATES: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks - 1, channel blocks, 2 b): state that a chunk adds -> end (2, b, chunks, n, d), its sum of delta.

    Goes from the end of the chunk to its start, and stops where nothing is left of what comes before, or where there is
    nothing. Of the last chunk, nobody needs it.
    """
    i_c, i_d, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_dir, rows, states = i_db // (tl.num_programs(2) // 2), tl.arange(0, STEPS), tl.arange(0, STATES)
    o_d = channels_of(i_d, CHANNELS)
    m_d, m_n = below(o_d, d, CHANNELS), below(states, n, STATES)
    o_state, m_state = states[:, None] * d + o_d[None, :], m_n[:, None] & m_d[None, :]
    A = tl.load(p_A + i_dir * n * d + o_state, m_state, 0.0)
    slowest = tl.min(tl.where(m_state, -A, 1e30), 0)
    end = tl.zeros([STATES, CHANNELS], tl.float32)
    after = tl.zeros([CHANNELS], tl.float32)
    o_steps, o_lines = lines_of_steps(row_length, STEPS), lines_of_channels(i_d, d, CHANNELS)
    reach = 0.0
    i = tiles - 1
    i_first = tl.maximum(i_dir * (padded - length) // STEPS - i_c * tiles, 0)
    while (i >= i_first) & (reach < FORGOTTEN):
        s_0 = i_db.to(tl.int64) * padded + (i_c * tiles + i) * STEPS
        o_tile = s_0 * d + rows[:, None] * d + o_d[None, :]
        s_ahead = s_0 - tl.where(i > 0, STEPS, 0)
        prefetch(p_steps + s_ahead * row_length + o_steps)
        prefetch(p_u + (s_ahead + rows)[:, None] * d + o_lines)
        prefetch(p_delta + (s_ahead + rows)[:, None] * d + o_lines)
        delta = tl.load(p_delta + o_tile, m_d[None, :], 0.0).to(tl.float32)
        x = delta * tl.load(p_u + o_tile, m_d[None, :], 0.0).to(tl.float32)
        for j in tl.static_range(STEPS - 1, -1, -1):
            B = tl.load(p_steps + (s_0 + j) * row_length + states, m_n, 0.0)
            end += tl.exp2(A * after[None, :]) * (row(x, rows, j)[None, :] * B[:, None])
            after += row(delta, rows, j)
        reach = tl.min(after * slowest, 0)
        i -= 1
    o_chunk = i_db.to(tl.int64) * chunks + i_c
    tl.store(p_end + o_chunk * n * d + o_state, end, m_state)
    tl.store(p_total + o_chunk * d + o_d, after, m_d)


@triton.jit(do_not_specialize_on_alignment=UNALIGNED)
def chain_kernel(
    p_end, p_total, p_A, p_entry, chunks, d: tl.constexpr, n: tl.constexpr,
    BACKWARDS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (channel blocks, n, 2 b): the state that enters each chunk, from what each adds and leaves.

    BACKWARDS: from the last chunk to the first.
    """
    i_d, i_n, i_db = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    i_dir = i_db // (tl.num_programs(2) // 2)
    o_d = i_d * CHANNELS + tl.arange(0, CHANNELS)
    rows, m_d = tl.arange(0, STEPS), below(o_d, d, CHANNELS)
    A = tl.load(p_A + (i_dir * n + i_n) * d + o_d, m_d, 0.0)
    state = tl.zeros([CHANNELS], tl.float32)
    first = i_db.to(tl.int64) * chunks
    o_first = (first + (chunks - 1 if BACKWARDS else 0)) * n + i_n
    tl.store(p_entry + o_first * d + o_d, state, m_d)
    for i_0 in range(0, chunks - 1, STEPS):
        i = i_0 + rows
        o_chunk = first + (chunks - 1 - i if BACKWARDS else i)
        mask = (i < chunks - 1)[:, None] & m_d[None, :]
        end = tl.load(p_end + (o_chunk * n + i_n)[:, None] * d + o_d[None, :], mask, 0.0)
        total = tl.load(p_total + o_chunk[:, None] * d + o_d[None, :], mask, 0.0)
        decay = tl.exp2(A[None, :] * total)
        end = tl.where((rows == 0)[:, None], end + decay * state[None, :], end)
        _, states = tl.associative_scan((decay, end), 0, multiply_add)
        state = row(states, rows, STEPS - 1)
        o_next = o_chunk + (-1 if BACKWARDS else 1)
        tl.store(p_entry + (o_next * n + i_n)[:, None] * d + o_d[None, :], states, mask)


@triton.jit
def gated(y, z, dy, FOR_GRADIENT: tl.constexpr, HALF: tl.constexpr):
    """y silu(z), HALF for results in half precision, or, for z's gradient, y dy silu'(z)."""
    if FOR_GRADIENT:
        gate = sigmoid(z)
        return y * dy * gate * (1 + z * (1 - gate))
    return y * (silu_in_half_precision(z) if HALF else z * sigmoid(z))


@triton.jit
def seen(state, C, total):
    """total (channels) plus C_n h_n of all states (states, channels), in as many multiply-adds."""
    STATES: tl.constexpr = state.shape[0]
    states, everywhere = tl.arange(0, STATES), tl.broadcast_to(C[:, None], state.shape)
    for i in tl.static_range(STATES):
        total += row(state, states, i) * row(everywhere, states, i)
    return total


@triton.jit
def scan_fwd_kernel(
    p_u, p_delta, p_z, p_dy, p_steps, p_A, p_D, p_entry, p_states, p_y,
    length, padded, row_length, blocks, stride_zb, stride_zl, stride_dyb, stride_dyl,
    d: tl.constexpr, n: tl.constexpr, FOR_GRADIENT: tl.constexpr, WHOLE: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr, STATES: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Grid (chunks, channel blocks, b): y (b, length, d), both directions one after the other, their sum gated.

    FOR_GRADIENT: y is the gradient of z instead, and the state that enters each block is kept, in states (2, b, chunks,
    blocks, n, d). WHOLE: the sequence has whole tiles.
    """
    i_c, i_d, i_b = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    chunks, batch = tl.num_programs(0), tl.num_programs(2)
    rows, states = tl.arange(0, STEPS), tl.arange(0, STATES)
    o_d = channels_of(i_d, CHANNELS)
    m_d, m_n = below(o_d, d, CHANNELS), below(states, n, STATES)
    o_state, m_state = states[:, None] * d + o_d[None, :], m_n[:, None] & m_d[None, :]
    o_tile = rows[:, None] * d + o_d[None, :]
    for i_dir in tl.static_range(2):
        sign = 1 - 2 * i_dir
        o_chunk = (i_dir * batch + i_b) * chunks + i_c + i_dir * (chunks - 1 - 2 * i_c)
        A = tl.load(p_A + i_dir * n * d + o_state, m_state, 0.0)
        D = tl.load(p_D + i_dir * d + o_d, m_d, 0.0).to(tl.float32)
        state = tl.load(p_entry + o_chunk * n * d + o_state, m_state, 0.0)
        o_step = o_chunk * blocks * BLOCK  # chunks follow each other without gaps
        t_first = i_dir * (padded - 1) + sign * (i_c + i_dir * (chunks - 1 - 2 * i_c)) * blocks * BLOCK
        for i in tl.range(0, blocks * (BLOCK // STEPS), num_stages=STAGES):
            if FOR_GRADIENT:
                p_block = p_states + (o_chunk * blocks + i // (BLOCK // STEPS)) * n * d
                m_block = m_state & (i % (BLOCK // STEPS) == 0)
                tl.store(p_block + o_state, state.to(p_states.dtype.element_ty), m_block)
            p_step = p_steps + (o_step + i * STEPS) * row_length
            p_tile = (o_step + i * STEPS) * d + o_tile
            delta = tl.load(p_delta + p_tile, m_d[None, :], 0.0).to(tl.float32)
            u = tl.load(p_u + p_tile, m_d[None, :], 0.0).to(tl.float32)
            x = delta * u
            y = tl.zeros([STEPS, CHANNELS], tl.float32)
            for j in tl.static_range(STEPS):
                B = tl.load(p_step + j * row_length + states, m_n, 0.0)
                C = tl.load(p_step + j * row_length + n + states, m_n, 0.0)
                decay = tl.exp2(A * row(delta, rows, j)[None, :])
                state = decay * state + row(x, rows, j)[None, :] * B[:, None]
                y = with_row(y, rows, j, seen(state, C, D * row(u, rows, j)))
            t_0, t = t_first + sign * i * STEPS, sign * rows[:, None]
            mask = (t_0 + (tl.zeros_like(t) if WHOLE else t) < length) & m_d[None, :]
            p_token = p_y + (i_b * length + t_0) * d + t * d + o_d[None, :]
            if i_dir == 1:
                y += tl.load(p_token, mask, 0.0).to(tl.float32)
                o_z = i_b * stride_zb + t_0.to(tl.int64) * stride_zl + t * stride_zl + o_d[None, :]
                z = tl.load(p_z + o_z, mask, 0.0).to(tl.float32)
                dy = z
                if FOR_GRADIENT:
                    o_dy = i_b * stride_dyb + t_0.to(tl.int64) * stride_dyl + t * stride_dyl + o_d[None, :]
                    dy = tl.load(p_dy + o_dy, mask, 0.0).to(tl.float32)
                y = gated(y, z, dy, FOR_GRADIENT, p_y.dtype.element_ty.primitive_bitwidth == 16)
            tl.store(p_token, y.to(p_y.dtype.element_ty), mask)
        # the second direction reads what other threads may have written
        tl.debug_barrier()
