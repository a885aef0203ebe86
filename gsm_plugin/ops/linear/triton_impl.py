"""A linear layer in float32 by one Triton kernel, which multiplies parts of float16 on tensor cores."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.splitting import NEAR, add_split_product, halves_of_rows, in_halves, scales_of

# Rows and columns of a program, channels that it multiplies at once, of how many such steps rows and weights are in
# shared memory at a time, and its warps.
_ROWS, _COLUMNS, _AT_ONCE, _STAGES, _WARPS = 128, 128, 32, 3, 8


def linear_triton(x: Tensor, weight: Tensor, bias: Tensor | None, onto: Tensor | None) -> Tensor:
    """Computes `linear`, arguments and result as described there."""
    c, m = x.shape[-1], len(weight)
    output = torch.empty(*x.shape[:-1], m, dtype=x.dtype, device=x.device) if onto is None else onto
    rows = x.reshape(-1, c)
    if output.numel():
        # rows side by side in a wider tensor are read where they are
        rows = rows if rows.stride(1) == 1 else rows.contiguous()
        weights = halves_of_rows(weight)
        linear_fwd_kernel[triton.cdiv(len(rows), _ROWS) * triton.cdiv(m, _COLUMNS),](
            rows, *weights, bias, output, len(rows), m, c, rows.stride(0), ADDS=onto is not None,
            ROWS=_ROWS, COLUMNS=_COLUMNS, AT_ONCE=_AT_ONCE, STAGES=_STAGES, num_warps=_WARPS,
        )  # fmt: skip
    return output


@triton.jit
def linear_fwd_kernel(
    p_x, p_high, p_low, p_scale, p_bias, p_output, count, m, c, stride_x, ADDS: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, AT_ONCE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of rows * blocks of columns,); x (count, c), parts of weight (m, c), output (count, m).

    Blocks of columns follow one another, so that their rows are near. Rows are read twice: first for their greatest
    entry.
    """
    blocks = tl.cdiv(m, COLUMNS)
    i_row = tl.program_id(0) // blocks * ROWS + tl.arange(0, ROWS)
    i_m = tl.program_id(0) % blocks * COLUMNS + tl.arange(0, COLUMNS)
    i_some = tl.arange(0, AT_ONCE)
    m_row, m_m = i_row < count, i_m < m
    p_rows = p_x + i_row.to(tl.int64)[:, None] * stride_x
    b_greatest = tl.zeros((ROWS,), tl.float32)
    for i_first in tl.range(0, c, AT_ONCE, num_stages=STAGES):
        i_c = i_first + i_some
        b_x = tl.load(p_rows + i_c[None, :], m_row[:, None] & (i_c < c)[None, :], 0.0)
        b_greatest = tl.maximum(b_greatest, tl.max(tl.abs(b_x), 1))
    b_scale, b_inverse = scales_of(b_greatest)
    b_total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for i_first in tl.range(0, c, AT_ONCE, num_stages=STAGES):
        i_c = i_first + i_some
        b_x = tl.load(p_rows + i_c[None, :], m_row[:, None] & (i_c < c)[None, :], 0.0)
        o_weight, m_weight = i_m[None, :] * c + i_c[:, None], m_m[None, :] & (i_c < c)[:, None]
        b_high, b_low = in_halves(b_x * b_inverse[:, None])
        w_high, w_low = tl.load(p_high + o_weight, m_weight, 0.0), tl.load(p_low + o_weight, m_weight, 0.0)
        b_total = add_split_product(b_total, b_high, b_low, w_high, w_low)
    # sums of two that were brought near it are made small first, lest one overflows whose result does not
    b_total = b_total * (tl.load(p_scale + i_m, m_m, 0.0) * (1.0 / NEAR))[None, :] * (b_scale * NEAR)[:, None]
    if p_bias is not None:
        b_total += tl.load(p_bias + i_m, m_m, 0.0)[None, :]
    p_output += i_row.to(tl.int64)[:, None] * m + i_m[None, :]
    m_output = m_row[:, None] & m_m[None, :]
    if ADDS:
        b_total += tl.load(p_output, m_output, 0.0)
    tl.store(p_output, b_total, m_output)
