"""The query of the implicit warp by one Triton kernel, which multiplies what it encodes before anything is written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.cells import landing
from gsm_plugin.ops._triton.instructions import sine
from gsm_plugin.ops._triton.masks import below
from gsm_plugin.ops.encoded_query.naive import projected
from gsm_plugin.ops.fraction_encoding.triton_impl import (
    TAU,
    fraction_encoding_triton,
    turns_of,
    turns_per_pixel,
)
from gsm_plugin.ops.linear.interface import linear

_MOST_CHANNELS = 192
# Pixels of a program and its warps, channels that it encodes and multiplies at once, and weights of how many such steps
# are in shared memory at a time.
_PIXELS, _WARPS, _AT_ONCE, _STAGES = 64, 4, 32, 3


def encoded_query_triton(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query`, arguments and result as described there."""
    (n, _, h, w), c = flow.shape, target.shape[3]
    if dtype not in (torch.bfloat16, torch.float16) or c > _MOST_CHANNELS:
        return projected(fraction_encoding_triton, linear, target, flow, weight, bias, dtype)
    query = torch.empty(n, h, w, c, dtype=dtype, device=target.device)
    if query.numel():
        first = max(16, triton.next_power_of_2(c) // 2)
        encoded_query_fwd_kernel[triton.cdiv(h * w, _PIXELS), n](
            target, flow.contiguous(), turns_per_pixel(c, flow.device, flow.dtype), weight.to(dtype).contiguous(),
            bias, query, h, w, n // len(target), *target.stride(),
            C=c, FIRST=first, SECOND=max(16, triton.next_power_of_2(c - first)), PIXELS=_PIXELS, AT_ONCE=_AT_ONCE,
            STAGES=_STAGES,
            # Triton's interpreter knows no product of bfloat16
            FACTOR=(tl.bfloat16 if dtype == torch.bfloat16 else tl.float16) if target.is_cuda else tl.float32,
            num_warps=_WARPS,
        )  # fmt: skip
    return query


@triton.jit
def encoded_query_fwd_kernel(
    p_target, p_flow, p_scale, p_weight, p_bias, p_query, height, width, frames,
    stride_m, stride_h, stride_w, stride_c, C: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
    PIXELS: tl.constexpr, AT_ONCE: tl.constexpr, STAGES: tl.constexpr, FACTOR: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of pixels, n); target strided, query (n, h, w, c), scale (c / 2,), weight (c, c), bias (c,).

    Tiles have sides that are powers of two, so channels are in two parts, of 192 the first 128 and the last 64.
    """
    i_n, i_inside = tl.program_id(1), tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    i_pixel, m_pixel = i_n * (height * width) + i_inside, i_inside < height * width
    i_c_0, i_c_1 = tl.arange(0, FIRST), FIRST + tl.arange(0, SECOND)
    m_0, m_1 = below(i_c_0, C, FIRST + SECOND), below(i_c_1, C, FIRST + SECOND)
    _, b_x, b_y = landing(p_flow, i_pixel, m_pixel, height, width)
    o_target = (i_n // frames).to(tl.int64) * stride_m + (i_inside // width).to(tl.int64) * stride_h
    o_target += i_inside % width * stride_w
    zeros = tl.zeros([PIXELS, 1], tl.float32)
    b_query_0 = zeros + tl.load(p_bias + i_c_0, m_0, 0.0).to(tl.float32)[None, :]
    b_query_1 = zeros + tl.load(p_bias + i_c_1, m_1, 0.0).to(tl.float32)[None, :]
    for i in tl.range(0, C, AT_ONCE, num_stages=STAGES):
        i_c, m_c = i + tl.arange(0, AT_ONCE), below(i + tl.arange(0, AT_ONCE), C, AT_ONCE)
        m_target = m_pixel[:, None] & m_c[None, :]
        b_target = tl.load(p_target + o_target[:, None] + (i_c * stride_c)[None, :], m_target, 0.0).to(tl.float32)
        b_turns = turns_of(b_x, b_y, p_scale, i_c, m_c, C).to(tl.float32)
        # the number of whole turns, by its low bits
        b_turns -= (b_turns + 12582912.0) - 12582912.0
        b_encoded = (b_target + sine(b_turns * TAU)).to(FACTOR)
        p_column = p_weight + i_c[:, None]
        b_weight_0 = tl.load(p_column + i_c_0[None, :] * C, m_c[:, None] & m_0[None, :], 0.0).to(FACTOR)
        b_weight_1 = tl.load(p_column + i_c_1[None, :] * C, m_c[:, None] & m_1[None, :], 0.0).to(FACTOR)
        b_query_0 = tl.dot(b_encoded, b_weight_0, b_query_0)
        b_query_1 = tl.dot(b_encoded, b_weight_1, b_query_1)
    p_row = p_query + i_pixel.to(tl.int64)[:, None] * C
    tl.store(p_row + i_c_0[None, :], b_query_0.to(p_query.dtype.element_ty), m_pixel[:, None] & m_0[None, :])
    tl.store(p_row + i_c_1[None, :], b_query_1.to(p_query.dtype.element_ty), m_pixel[:, None] & m_1[None, :])
