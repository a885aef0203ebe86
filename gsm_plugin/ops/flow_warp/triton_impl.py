"""Bilinear warping by Triton kernels: blocks of pixels and channels, coordinates in float32 or better."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._triton.cells import cut, landing, sort_by_cell, sum_cells

_MOST_CHANNELS = 64
_BLOCK = 1024


def flow_warp_triton(x: Tensor, flow: Tensor) -> Tensor:
    """Computes `flow_warp`, arguments and result as described there."""
    return _FlowWarp.apply(x, flow)


@triton.jit
def corners(p_flow, i_pixel, m_pixel, height, width):
    """Image, floor and fraction of where pixels land; all that is two pixels outside an image is the same."""
    i_image, x, y = landing(p_flow, i_pixel, m_pixel, height, width)
    # pixels behind the last one belong to no image and must not be read
    x = tl.where(m_pixel, cut(x, -2.0, width + 1.0), -2.0)
    y = cut(y, -2.0, height + 1.0)
    x_0 = tl.floor(x)
    y_0 = tl.floor(y)
    return i_image, x_0.to(tl.int32), y_0.to(tl.int32), x - x_0, y - y_0


@triton.jit
def share(fraction, SECOND: tl.constexpr):
    """Weight along one axis of the first or the second pixel of each cell."""
    return fraction if SECOND else 1 - fraction


@triton.jit
def signed(slope, SECOND: tl.constexpr):
    return slope if SECOND else -slope


@triton.jit
def pixel(p_x, i_image, i_y, i_x, o_c, m_c, height, width, stride_n, stride_h, stride_w):
    """Values of one pixel of each cell, (pixels, channels), zero outside the image."""
    mask = (i_x >= 0) & (i_x < width) & (i_y >= 0) & (i_y < height)
    offset = i_image.to(tl.int64) * stride_n + i_y.to(tl.int64) * stride_h + i_x.to(tl.int64) * stride_w
    return tl.load(p_x + offset[:, None] + o_c[None, :], mask[:, None] & m_c[None, :], 0.0)


@triton.jit
def flow_warp_fwd_kernel(
    p_x,
    p_flow,
    p_out,
    pixels,
    height,
    width,
    channels,
    stride_n,
    stride_h,
    stride_w,
    stride_c,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """Grid (blocks of pixels * blocks of channels,), channels fastest; x strided, out (pixels, channels)."""
    blocks = tl.cdiv(channels, BLOCK_CHANNELS)
    i_block = tl.program_id(0) // blocks
    i_pixel = i_block * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    i_c = (tl.program_id(0) - i_block * blocks) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    m_pixel = i_pixel < pixels
    m_c = i_c < channels
    o_c = i_c.to(tl.int64) * stride_c
    i_image, x, y, right, down = corners(p_flow, i_pixel, m_pixel, height, width)
    b_total = tl.zeros([BLOCK_PIXELS, BLOCK_CHANNELS], DTYPE)
    for corner in tl.static_range(4):
        b_weight = share(down, corner // 2) * share(right, corner % 2)
        i_y = y + corner // 2
        i_x = x + corner % 2
        b_value = pixel(p_x, i_image, i_y, i_x, o_c, m_c, height, width, stride_n, stride_h, stride_w)
        b_total += b_weight.to(DTYPE)[:, None] * b_value.to(DTYPE)
    p_row = p_out + i_pixel.to(tl.int64)[:, None] * channels + i_c[None, :]
    tl.store(p_row, b_total.to(p_out.dtype.element_ty), m_pixel[:, None] & m_c[None, :])


@triton.jit
def flow_warp_bwd_kernel(
    p_x,
    p_flow,
    p_grad,
    p_grad_x,
    p_weights,
    p_grad_flow,
    pixels,
    height,
    width,
    channels,
    stride_n,
    stride_h,
    stride_w,
    stride_c,
    WITH_X: tl.constexpr,
    ATOMIC: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
    DTYPE: tl.constexpr,
):
    """Grid (blocks of pixels,); x strided, grad and grad_x (pixels, channels), grad_flow (n, 2, h, w).

    The gradient to x is added up here with ATOMIC, else the weights (pixels, 4) are written for `sum_cells`.
    """
    i_pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    m_pixel = i_pixel < pixels
    i_image, x, y, right, down = corners(p_flow, i_pixel, m_pixel, height, width)
    area = height * width
    b_grad_right = tl.zeros([BLOCK_PIXELS], DTYPE)
    b_grad_down = tl.zeros([BLOCK_PIXELS], DTYPE)
    for first in range(0, channels, BLOCK_CHANNELS):
        i_c = first + tl.arange(0, BLOCK_CHANNELS)
        m_c = i_c < channels
        o_c = i_c.to(tl.int64) * stride_c
        p_row = p_grad + i_pixel.to(tl.int64)[:, None] * channels + i_c[None, :]
        b_grad = tl.load(p_row, m_pixel[:, None] & m_c[None, :], 0.0).to(DTYPE)
        for corner in tl.static_range(4):
            b_weight_y = share(down, corner // 2)
            b_weight_x = share(right, corner % 2)
            i_y = y + corner // 2
            i_x = x + corner % 2
            b_value = pixel(p_x, i_image, i_y, i_x, o_c, m_c, height, width, stride_n, stride_h, stride_w)
            b_dot = tl.sum(b_grad * b_value.to(DTYPE), 1)
            b_grad_right += signed(b_dot, corner % 2) * b_weight_y
            b_grad_down += signed(b_dot, corner // 2) * b_weight_x
            if WITH_X:
                m_inside = m_pixel & (i_x >= 0) & (i_x < width) & (i_y >= 0) & (i_y < height)
                b_weight = tl.where(m_inside, b_weight_x * b_weight_y, 0.0)
                if ATOMIC:
                    o_source = (i_image * area + i_y * width + i_x).to(tl.int64)[:, None] * channels + i_c[None, :]
                    m_source = m_inside[:, None] & m_c[None, :]
                    tl.atomic_add(p_grad_x + o_source, b_weight.to(DTYPE)[:, None] * b_grad, m_source, sem='relaxed')
                elif first == 0:
                    tl.store(p_weights + i_pixel.to(tl.int64) * 4 + corner, b_weight.to(DTYPE), m_pixel)
    p_out = p_grad_flow + i_image.to(tl.int64) * (2 * area) + (i_pixel - i_image * area)
    tl.store(p_out, b_grad_right, m_pixel)
    tl.store(p_out + area, b_grad_down, m_pixel)


class _FlowWarp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, flow: Tensor) -> Tensor:
        flow = flow.contiguous()
        ctx.save_for_backward(x, flow)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        if out.numel():
            settings = _settings(x, flow)
            blocks = triton.cdiv(out[..., 0].numel(), settings['BLOCK_PIXELS'])
            grid = (blocks * triton.cdiv(x.shape[3], settings['BLOCK_CHANNELS']),)
            flow_warp_fwd_kernel[grid](x, flow, out, **_sizes(x), **settings)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_out: Tensor) -> tuple[Tensor | None, Tensor]:
        x, flow = ctx.saved_tensors
        if not x.numel():
            return torch.zeros_like(x), torch.zeros_like(flow)
        with_x, atomic = ctx.needs_input_grad[0], not torch.are_deterministic_algorithms_enabled()
        grad_out, grad_flow = grad_out.contiguous(), torch.empty_like(flow)
        settings = _settings(x, flow)
        pixels = x[..., 0].numel()
        sums = flow.new_zeros(x.shape if with_x and atomic else 0, dtype=_precision(x, flow))
        weights = flow.new_empty((pixels, 4, 1) if with_x and not atomic else 0, dtype=_precision(x, flow))
        flow_warp_bwd_kernel[(triton.cdiv(pixels, settings['BLOCK_PIXELS']),)](
            x, flow, grad_out, sums, weights, grad_flow, **_sizes(x), WITH_X=with_x, ATOMIC=atomic, **settings
        )
        if not with_x:
            return None, grad_flow
        if atomic:
            return sums.to(x.dtype), grad_flow
        grad_x = torch.empty_like(grad_out)
        sum_cells(grad_out.flatten(0, 2), weights, sort_by_cell(flow), flow.shape[2:], False, grad_x.flatten(0, 2))
        return grad_x, grad_flow


def _precision(x: Tensor, flow: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, flow.dtype)


def _sizes(x: Tensor) -> dict[str, int]:
    n, h, w, c = x.shape
    strides = {f'stride_{axis}': stride for axis, stride in zip('nhwc', x.stride(), strict=True)}
    return {'pixels': n * h * w, 'height': h, 'width': w, 'channels': c, **strides}


def _settings(x: Tensor, flow: Tensor) -> dict:
    channels = min(_MOST_CHANNELS, triton.next_power_of_2(x.shape[3]))
    return {
        'BLOCK_PIXELS': min(128, _BLOCK // channels),
        'BLOCK_CHANNELS': channels,
        'DTYPE': tl.float64 if _precision(x, flow) == torch.float64 else tl.float32,
    }
