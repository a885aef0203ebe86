"""The encoding of fractions by Triton kernels: one pass over the result, one over its gradient."""

import math
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._common.sinusoids import EPSILON, wavelengths
from gsm_plugin.ops._triton.cells import FAR, landing

_BLOCK = 1024
TAU = tl.constexpr(2 * math.pi)


def fraction_encoding_triton(target: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `fraction_encoding`, arguments and result as described there, in the precision of the flow."""
    return _FractionEncoding.apply(target, flow, dtype)


@triton.jit
def sine_of_turns(turns):
    """Sine of a number of whole turns, to 1e-7 (float64: to its precision)."""
    turns -= tl.floor(turns + 0.5)
    if turns.dtype == tl.float64:
        sine = tl.sin(turns * TAU)
    else:
        # the sine of half a turn minus an angle is the same
        folded = tl.where(turns > 0.25, 0.5 - turns, tl.where(turns < -0.25, -0.5 - turns, turns))
        a = folded * TAU
        s = a * a
        sine = a * (1 - s * (1 / 6 - s * (1 / 120 - s * (1 / 5040 - s * (1 / 362880 - s / 39916800)))))
    return sine


@triton.jit
def turns_of(x, y, p_scale, i_c, m_c, channels):
    """Angles of the encoding in whole turns, (pixels, channels); every odd channel a quarter ahead, a cosine."""
    half = channels // 2
    m_y = i_c < half
    scale = tl.load(p_scale + tl.where(m_y, i_c, i_c - half), m_c, 1.0).to(x.dtype)
    fraction = tl.where(m_y[None, :], (y - tl.floor(y))[:, None], (x - tl.floor(x))[:, None])
    quarter = tl.where(i_c % 2 == 1, 0.25, 0.0).to(x.dtype)
    return fraction * scale[None, :] + quarter[None, :]


@triton.jit
def fraction_encoding_fwd_kernel(
    p_target,
    p_flow,
    p_scale,
    p_out,
    pixels,
    height,
    width,
    channels,
    frames,
    stride_m,
    stride_h,
    stride_w,
    stride_c,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Grid (blocks of pixels of all flows,); target strided, out (pixels, channels), scale (channels / 2,)."""
    i_pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    m_pixel = i_pixel < pixels
    i_image, b_x, b_y = landing(p_flow, i_pixel, m_pixel, height, width)
    i_inside = i_pixel - i_image * (height * width)
    o_target = (i_image // frames).to(tl.int64) * stride_m + (i_inside // width).to(tl.int64) * stride_h
    o_target += (i_inside % width) * stride_w
    i_c = tl.arange(0, BLOCK_CHANNELS)
    m_c = i_c < channels
    m_out = m_pixel[:, None] & m_c[None, :]
    b_target = tl.load(p_target + o_target[:, None] + (i_c * stride_c)[None, :], m_out, 0.0)
    b_out = b_target.to(b_x.dtype) + sine_of_turns(turns_of(b_x, b_y, p_scale, i_c, m_c, channels))
    p_row = p_out + i_pixel.to(tl.int64)[:, None] * channels + i_c[None, :]
    tl.store(p_row, b_out.to(p_out.dtype.element_ty), m_out)


@triton.jit
def fraction_encoding_bwd_kernel(
    p_flow,
    p_scale,
    p_grad,
    p_grad_target,
    p_grad_flow,
    pixels,
    height,
    width,
    channels,
    frames,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Grid (blocks of pixels of the targets,); grad (pixels of all flows, channels), grad_flow (n, 2, h, w)."""
    i_pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    m_pixel = i_pixel < pixels
    area = height * width
    i_target = i_pixel // area
    i_inside = i_pixel - i_target * area
    i_c = tl.arange(0, BLOCK_CHANNELS)
    m_c = i_c < channels
    m_y = (i_c < channels // 2)[None, :]
    m_grad = m_pixel[:, None] & m_c[None, :]
    b_scale = tl.load(p_scale + tl.where(i_c < channels // 2, i_c, i_c - channels // 2), m_c, 0.0)
    b_total = tl.zeros([BLOCK_PIXELS, BLOCK_CHANNELS], p_grad_flow.dtype.element_ty)
    b_slope = b_scale.to(b_total.dtype) * TAU
    for i_frame in range(frames):
        i_image = i_target * frames + i_frame
        i_flow = i_image * area + i_inside
        _, b_x, b_y = landing(p_flow, i_flow, m_pixel, height, width)
        p_row = p_grad + i_flow.to(tl.int64)[:, None] * channels + i_c[None, :]
        b_grad = tl.load(p_row, m_grad, 0.0).to(b_total.dtype)
        b_total += b_grad
        b_cosine = sine_of_turns(turns_of(b_x, b_y, p_scale, i_c, m_c, channels) + 0.25)
        b_part = b_grad * b_cosine * b_slope[None, :]
        p_out = p_grad_flow + i_image.to(tl.int64) * (2 * area) + i_inside
        tl.store(p_out, tl.where(tl.abs(b_x) < FAR, tl.sum(tl.where(m_y, 0.0, b_part), 1), 0.0), m_pixel)
        tl.store(p_out + area, tl.where(tl.abs(b_y) < FAR, tl.sum(tl.where(m_y, b_part, 0.0), 1), 0.0), m_pixel)
    p_row = p_grad_target + i_pixel.to(tl.int64)[:, None] * channels + i_c[None, :]
    tl.store(p_row, b_total.to(p_grad_target.dtype.element_ty), m_grad)


class _FractionEncoding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, target: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
        flow = flow.contiguous()
        ctx.save_for_backward(flow)
        ctx.target_shape, ctx.target_dtype = target.shape, target.dtype
        (n, _, h, w), c = flow.shape, target.shape[3]
        out = target.new_empty((n, h, w, c), dtype=dtype)
        if out.numel():
            sizes = {'pixels': n * h * w, 'height': h, 'width': w, 'channels': c, 'frames': n // len(target)}
            strides = {f'stride_{axis}': stride for axis, stride in zip('mhwc', target.stride(), strict=True)}
            settings = _settings(c)
            grid = (triton.cdiv(n * h * w, settings['BLOCK_PIXELS']),)
            scale = turns_per_pixel(c, flow.device, flow.dtype)
            fraction_encoding_fwd_kernel[grid](target, flow, scale, out, **sizes, **strides, **settings)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        (flow,) = ctx.saved_tensors
        m, h, w, c = ctx.target_shape
        grad_target, grad_flow = grad_out.new_empty(ctx.target_shape, dtype=ctx.target_dtype), torch.empty_like(flow)
        if not grad_out.numel():
            return grad_target.zero_(), grad_flow.zero_(), None
        settings = _settings(c)
        sizes = {'pixels': m * h * w, 'height': h, 'width': w, 'channels': c, 'frames': len(flow) // m}
        grid = (triton.cdiv(m * h * w, settings['BLOCK_PIXELS']),)
        scale = turns_per_pixel(c, flow.device, flow.dtype)
        fraction_encoding_bwd_kernel[grid](
            flow, scale, grad_out.contiguous(), grad_target, grad_flow, **sizes, **settings
        )
        return grad_target, grad_flow, None


@cache
def turns_per_pixel(channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Whole turns of the angle of each channel over one pixel, (channels / 2,)."""
    return (1 / (2 + EPSILON) / wavelengths(channels, device).double()).to(dtype)


def _settings(channels: int) -> dict[str, int]:
    block_channels = triton.next_power_of_2(channels)
    return {'BLOCK_PIXELS': max(1, _BLOCK // block_channels), 'BLOCK_CHANNELS': block_channels, 'num_warps': 2}
