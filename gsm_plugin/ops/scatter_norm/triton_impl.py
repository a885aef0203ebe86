"""Scatter in inference by one Triton kernel: four pixels are read for each, summed, added, normalised and written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gsm_plugin.ops._triton.launching import pointers
from gsm_plugin.ops.flow_warp.triton_impl import corners, pixel, share
from gsm_plugin.ops.residual_norm.triton_impl import normalise
from gsm_plugin.ops.scatter_norm.interface import SumAndNorm

# Values of a program, and its warps.
_BLOCK, _WARPS = 2048, 2


def scatter_norm_triton(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: SumAndNorm, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm`, arguments and result as described there, in float32 or better inside."""
    normed = torch.empty(frames.shape, dtype=dtype, device=frames.device)
    if normed.numel():
        b, k, h, w, c = frames.shape
        channels = triton.next_power_of_2(c)
        pixels = max(1, _BLOCK // channels)
        strides = dict(zip((f'stride_a{axis}' for axis in 'bkhwc'), aligned.stride(), strict=True))
        wide = torch.promote_types(frames.dtype, flow.dtype)
        scatter_norm_fwd_kernel[triton.cdiv(b * k * h * w, pixels),](
            frames, aligned, flow.contiguous(), p_normed=normed, count=b * k * h * w, k=k, height=h, width=w,
            stride_b=frames.stride(0), stride_k=frames.stride(1), **strides, eps=eps, **pointers(parameters),
            C=c, PIXELS=pixels, CHANNELS=channels, num_warps=_WARPS,
            DTYPE=tl.float64 if wide == torch.float64 else tl.float32,
        )  # fmt: skip
    return normed


@triton.jit
def scatter_norm_fwd_kernel(
    p_frames, p_aligned, p_flow, p_scale, p_factor, p_summand, p_weight, p_bias, p_normed,
    count, k, height, width, stride_b, stride_k, stride_ab, stride_ak, stride_ah, stride_aw, stride_ac, eps,
    C: tl.constexpr, PIXELS: tl.constexpr, CHANNELS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of pixels,); frames (b, k, h, w, c), of any strides b and k, aligned strided, normed contiguous."""
    i_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    i_c = tl.arange(0, CHANNELS)
    m_pixel = i_pixel < count
    m_c = i_c < C
    m_row = m_pixel[:, None] & m_c[None, :]
    i_image, x, y, right, down = corners(p_flow, i_pixel, m_pixel, height, width)
    i_b = (i_image // k).to(tl.int64)
    i_k = (i_image % k).to(tl.int64)
    p_row = p_frames + (i_b * stride_b + i_k * stride_k + (i_pixel % (height * width)) * C)[:, None] + i_c[None, :]
    b_total = tl.load(p_row, m_row, 0.0).to(DTYPE) * _of(p_scale, i_c, m_c, DTYPE)
    p_image = p_aligned + (i_b * stride_ab + i_k * stride_ak)[:, None]
    o_c = i_c.to(tl.int64) * stride_ac
    for corner in tl.static_range(4):
        b_weight = share(down, corner // 2) * share(right, corner % 2)
        i_y = y + corner // 2
        i_x = x + corner % 2
        b_value = pixel(p_image, 0 * i_image, i_y, i_x, o_c, m_c, height, width, 0, stride_ah, stride_aw)
        b_total += b_weight.to(DTYPE)[:, None] * b_value.to(DTYPE)
    # the norm is that of the sum in the type of the frames
    b_total = b_total.to(p_frames.dtype.element_ty).to(DTYPE)
    b_stored = b_total * _of(p_factor, i_c, m_c, DTYPE) + _of(p_summand, i_c, m_c, DTYPE)
    tl.store(p_row, b_stored.to(p_frames.dtype.element_ty), m_row)
    b_normal, _ = normalise(b_total, m_row, C, eps)
    b_normal = b_normal * _of(p_weight, i_c, m_c, DTYPE) + _of(p_bias, i_c, m_c, DTYPE)
    tl.store(p_normed + i_pixel.to(tl.int64)[:, None] * C + i_c[None, :], b_normal.to(p_normed.dtype.element_ty), m_row)


@triton.jit
def _of(p_parameter, i_c, m_c, DTYPE: tl.constexpr):
    return tl.load(p_parameter + i_c, m_c, 0.0).to(DTYPE)[None, :]
