"""Bias, pixel shuffle and LeakyReLU by one Triton kernel, on images whose channels are last in memory."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Values of a program at once.
_BLOCK = 4096


def shuffle_leaky_relu_triton(x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `shuffle_leaky_relu`, arguments and result as described there, in float32 (float64 in float64)."""
    return _ShuffleLeakyRelu.apply(x.contiguous(memory_format=torch.channels_last), bias, factor, slope)


class _ShuffleLeakyRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
        n, c, h, w = x.shape
        sides = n, c // factor**2, h * factor, w * factor
        output = torch.empty(sides, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        if output.numel():
            places, channels = triton.next_power_of_2(factor**2), triton.next_power_of_2(sides[1])
            pixels = max(1, _BLOCK // (places * channels))
            shuffle_leaky_relu_fwd_kernel[triton.cdiv(n * h * w, pixels),](
                x, bias.contiguous(), output, n * h * w, w, sides[1], FACTOR=factor, SLOPE=slope,
                PIXELS=pixels, CHANNELS=channels, PLACES=places,
                DTYPE=tl.float64 if x.dtype == torch.float64 else tl.float32, num_warps=4,
            )  # fmt: skip
        # a slope greater than 0 leaves signs as they are
        ctx.save_for_backward(output if slope != 1 else None)
        ctx.factor, ctx.slope, ctx.dtype = factor, slope, bias.dtype
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (output,) = ctx.saved_tensors
        if output is not None:
            grad = torch.ops.aten.leaky_relu_backward(grad, output, ctx.slope, True)
        grad_x = F.pixel_unshuffle(grad, ctx.factor) if ctx.factor > 1 else grad
        grad_x = grad_x.contiguous(memory_format=torch.channels_last)
        wide = torch.promote_types(grad_x.dtype, torch.float32)
        return grad_x, grad_x.sum((0, 2, 3), dtype=wide).to(ctx.dtype), None, None


@triton.jit
def shuffle_leaky_relu_fwd_kernel(
    p_x, p_bias, p_output, count, width, C, FACTOR: tl.constexpr, SLOPE: tl.constexpr,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, PLACES: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Grid (blocks of pixels,); x (n * h * w, c, factor**2), output (n * h, factor, w, factor, c)."""
    i_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    i_channel, i_place = tl.arange(0, CHANNELS), tl.arange(0, PLACES)
    o_bias = i_channel[:, None] * (FACTOR * FACTOR) + i_place[None, :]
    m_bias = (i_channel < C)[:, None] & (i_place < FACTOR * FACTOR)[None, :]
    o_x = i_pixel.to(tl.int64)[:, None, None] * (C * FACTOR * FACTOR) + o_bias[None, :, :]
    b_x = tl.load(p_x + o_x, (i_pixel < count)[:, None, None] & m_bias[None, :, :], 0.0).to(DTYPE)
    b_x += tl.load(p_bias + o_bias, m_bias, 0.0).to(DTYPE)[None, :, :]
    b_x = tl.where(b_x > 0, b_x, b_x * SLOPE)
    b_output = tl.permute(b_x.to(p_output.dtype.element_ty), (0, 2, 1))
    i_row, i_column = i_pixel // width, i_pixel % width
    i_y = i_row.to(tl.int64)[:, None] * FACTOR + (i_place // FACTOR)[None, :]
    o_output = (i_y * width + i_column[:, None]) * FACTOR + (i_place % FACTOR)[None, :]
    m_output = (i_pixel < count)[:, None] & (i_place < FACTOR * FACTOR)[None, :]
    tl.store(
        p_output + o_output[:, :, None] * C + i_channel[None, None, :],
        b_output,
        m_output[:, :, None] & (i_channel < C)[None, None, :],
    )
