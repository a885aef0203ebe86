"""A linear layer in float32 by one Triton kernel, which multiplies parts of float16 on tensor cores."""

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

# Columns of a program, channels that it multiplies at once, of how many such steps rows and weights are in shared
# memory at a time, and its warps.
_COLUMNS, _AT_ONCE, _STAGES, _WARPS = 128, 32, 3, 8


def linear_triton(x: Tensor, weight: Tensor, bias: Tensor | None, onto: Tensor | None) -> Tensor:
    """Computes `linear`, arguments and result as described there."""
    c, m = x.shape[-1], len(weight)
    output = torch.empty(*x.shape[:-1], m, dtype=x.dtype, device=x.device) if onto is None else onto
    rows = x.reshape(-1, c)
    if output.numel():
        # rows side by side in a wider tensor are read where they are
        rows = rows if rows.stride(1) == 1 else rows.contiguous()
        weights = halves_of_rows(weight)
        # two programs fit a multiprocessor with much shared memory, if registers are held down as well
        high, most_registers = (128, 128) if has_much_shared_memory(x) else (64, None)
        linear_fwd_kernel[triton.cdiv(len(rows), high) * triton.cdiv(m, _COLUMNS),](
            rows, *weights, bias, output, len(rows), m, c, rows.stride(0), ADDS=onto is not None,
            ROWS=high, COLUMNS=_COLUMNS, AT_ONCE=_AT_ONCE, STAGES=_STAGES, num_warps=_WARPS, maxnreg=most_registers,
        )  # fmt: skip
    return output


@triton.jit
def linear_fwd_kernel(
    p_x, p_high, p_low, p_scale, p_bias, p_output, count, m, c, stride_x, ADDS: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of rows * blocks of columns,); x (count, c), parts of weight (m, c), output (count, m).

    Blocks of columns follow one another, so that their rows are near. Rows are taken to be of a usual size, and read
    again where one is not.
    """
    blocks = tl.cdiv(m, COLUMNS)
    i_row = tl.program_id(0) // blocks * ROWS + tl.arange(0, ROWS)
    i_m = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    m_row, m_m = i_row < count, i_m < m
    p_rows = p_x + i_row.to(tl.int64) * stride_x
    b_inverse = tl.full((ROWS,), NEAR, tl.float32)
    b_total, b_greatest = _multiplied(
        p_rows, m_row, b_inverse, p_high, p_low, i_m, m_m, c, ROWS, COLUMNS, AT_ONCE, STAGES
    )
    b_back = tl.full((ROWS,), 1.0, tl.float32)
    if any_unusual(b_greatest):
        b_scale, b_inverse = scales_of(b_greatest)
        b_total, _ = _multiplied(p_rows, m_row, b_inverse, p_high, p_low, i_m, m_m, c, ROWS, COLUMNS, AT_ONCE, STAGES)
        b_back = b_scale * NEAR
    # sums of two that were brought near it are made small first, lest one overflows whose result does not
    b_total = b_total * (tl.load(p_scale + i_m, m_m, 0.0) * (1.0 / NEAR))[None, :] * b_back[:, None]
    if p_bias is not None:
        b_total += tl.load(p_bias + i_m, m_m, 0.0)[None, :]
    # in two halves, since what is added to takes registers as well
    b_left, b_right = tl.split(tl.permute(tl.reshape(b_total, (ROWS, 2, COLUMNS // 2)), (0, 2, 1)))
    i_left = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS // 2)
    p_rows_out = p_output + i_row.to(tl.int64)[:, None] * m
    _write(p_rows_out + i_left[None, :], b_left, m_row[:, None] & (i_left < m)[None, :], ADDS)
    i_right = i_left + COLUMNS // 2
    _write(p_rows_out + i_right[None, :], b_right, m_row[:, None] & (i_right < m)[None, :], ADDS)


@triton.jit
def _multiplied(
    p_rows, m_row, b_inverse, p_high, p_low, i_m, m_m, c, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Products of rows, each times a power of two, and the greatest absolute value of each row as it is."""
    b_total, b_greatest = tl.zeros((ROWS, COLUMNS), tl.float32), tl.zeros((ROWS,), tl.float32)
    for i_first in tl.range(0, c, AT_ONCE, num_stages=STAGES):
        i_c = i_first + tl.arange(0, AT_ONCE)
        b_x = tl.load(p_rows[:, None] + i_c[None, :], m_row[:, None] & (i_c < c)[None, :], 0.0)
        o_weight, m_weight = i_m[None, :] * c + i_c[:, None], m_m[None, :] & (i_c < c)[:, None]
        b_greatest = tl.maximum(b_greatest, tl.max(tl.abs(b_x), 1))
        b_high, b_low = in_halves(b_x * b_inverse[:, None])
        w_high, w_low = tl.load(p_high + o_weight, m_weight, 0.0), tl.load(p_low + o_weight, m_weight, 0.0)
        b_total = add_split_product(b_total, b_high, b_low, w_high, w_low)
    return b_total, b_greatest


@triton.jit
def _write(p_output, b_output, mask, ADDS: tl.constexpr):
    if ADDS:
        b_output += tl.load(p_output, mask, 0.0)
    tl.store(p_output, b_output, mask)
