"""Depthwise convolution by PyTorch's own, with a backward pass from those of its kernels that are fast on a CPU."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def depthwise_conv_gelu_torch(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Computes `depthwise_conv_gelu`, arguments and result as described there."""
    channels_first, weight, bias = x.movedim(-1, 1), weight.to(x.dtype)[:, None], bias.to(x.dtype)
    # oneDNN's backward of a 3D depthwise convolution is slow; it has none for float64.
    convolve = _Convolution.apply if x.is_cpu and x.dtype in (torch.float32, torch.bfloat16) else _convolve
    return F.gelu(convolve(channels_first, weight, bias).movedim(1, -1))


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv3d(x, weight, bias, padding=1, groups=len(weight))


class _Convolution(torch.autograd.Function):
    """x (b, c, t, h, w), weight (c, 1, 3, 3, 3), bias (c)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad_x = _convolve(grad, weight.flip(2, 3, 4)) if ctx.needs_input_grad[0] else None
        return grad_x, grad_weight(x, grad, weight), grad.sum((0, 2, 3, 4))


def grad_weight(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of a weight (c, 1, 3, 3, 3) from x and the gradient of the result, both (b, c, t, h, w).

    It is three two-dimensional ones: of the frame before, of the frame itself, of the next.
    """
    frames = x.shape[2]
    result = torch.zeros_like(weight)
    for i in range(3):
        first, last = max(0, 1 - i), min(frames, frames + 1 - i)
        if first < last:
            outputs = grad[:, :, first:last].transpose(1, 2).flatten(0, 1)
            inputs = x[:, :, first + i - 1 : last + i - 1].transpose(1, 2).flatten(0, 1)
            result[:, :, i] = torch.ops.aten.convolution_backward(
                outputs, inputs, weight[:, :, i], None, [1, 1], [1, 1], [1, 1], False, [0, 0], len(weight),
                [False, True, False],
            )[1]  # fmt: skip
    return result
