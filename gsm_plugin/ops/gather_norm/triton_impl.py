"""Gather in inference by one Triton kernel: the forward pass of the implicit warp, normalised before it is written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.launching import pointers
from gsm_plugin.ops.gather_norm.interface import Cells
from gsm_plugin.ops.implicit_warp.triton_impl import attend, forward_settings, part_of, pixels_of, rows_of_images


def gather_norm_triton(
    cells: Cells, num_heads: int, frames: int, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `gather_norm`, arguments and result as described there, in float32 or better inside."""
    n, h, w, c = cells.query.shape
    out = torch.empty(n // frames, h, w, frames, c, dtype=dtype, device=cells.query.device)
    if out.numel():
        query, key, value = (rows_of_images(x) for x in (cells.query, cells.key, cells.value))
        rest = (x.contiguous() for x in (cells.flow, cells.key_position, cells.value_position))
        settings = forward_settings(query, num_heads)
        gather_norm_fwd_kernel[triton.cdiv(len(query) * settings['PADDED'], settings['ROWS']),](
            **pointers(Cells(query, key, value, *rest)), p_weight=weight, p_bias=bias, p_out=out,
            pixels=len(query), frames=frames, height=h, width=w, eps=eps,
            stride_query=query.stride(0), stride_key=key.stride(0), stride_value=value.stride(0), **settings,
        )  # fmt: skip
    return out


@triton.jit
def gather_norm_fwd_kernel(
    p_query, p_key, p_value, p_flow, p_key_position, p_value_position, p_weight, p_bias, p_out,
    pixels, frames, height, width, stride_query, stride_key, stride_value, eps,
    HEADS: tl.constexpr, DIM: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, PART: tl.constexpr,
    SCALE: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of pixels,); inputs in rows of any stride, positions (4, c), out (m, h, w, frames, c)."""
    i_pixel, i_head = pixels_of(tl.program_id(0), ROWS, PADDED)
    m_pixel = i_pixel < pixels
    b_parts = attend(
        p_query, p_key, p_value, p_flow, p_key_position, p_value_position, i_pixel, i_head, m_pixel, height, width,
        stride_query, stride_key, stride_value, HEADS, DIM, PART, SCALE, DTYPE,
    )  # fmt: skip
    c: tl.constexpr = HEADS * DIM
    number: tl.constexpr = triton.cdiv(DIM, PART)
    b_total = tl.zeros([ROWS], DTYPE)
    for i in tl.static_range(number):
        b_total += tl.sum(b_parts[i], 1)
    b_mean = (over_heads(b_total, PADDED) / c)[:, None]
    b_total = tl.zeros([ROWS], DTYPE)
    for i in tl.static_range(number):
        _, m_c = part_of(i_head, i, DIM, PART)
        b_centred = tl.where((i_head < HEADS)[:, None] & m_c, b_parts[i] - b_mean, 0.0)
        b_total += tl.sum(b_centred * b_centred, 1)
    b_scale = (1.0 / tl.sqrt(over_heads(b_total, PADDED) / c + eps))[:, None]
    area = height * width
    i_image = i_pixel // area
    i_token = (i_image // frames * area + i_pixel % area).to(tl.int64) * frames + i_image % frames
    for i in tl.static_range(number):
        o_c, m_c = part_of(i_head, i, DIM, PART)
        m_out = (m_pixel & (i_head < HEADS))[:, None] & m_c
        b_normed = (b_parts[i] - b_mean) * b_scale * tl.load(p_weight + o_c, m_out, 0.0).to(DTYPE)
        b_normed += tl.load(p_bias + o_c, m_out, 0.0).to(DTYPE)
        tl.store(p_out + (i_token * c)[:, None] + o_c, b_normed.to(p_out.dtype.element_ty), m_out)


@triton.jit
def over_heads(sums, PADDED: tl.constexpr):
    """Sums of rows, one for each pixel and head, over the heads of a pixel, for each of its rows."""
    pixels: tl.constexpr = sums.shape[0] // PADDED
    total = tl.sum(tl.reshape(sums, [pixels, PADDED]), 1)
    return tl.reshape(tl.broadcast_to(total[:, None], [pixels, PADDED]), [pixels * PADDED])
