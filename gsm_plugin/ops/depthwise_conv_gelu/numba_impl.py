"""Depthwise convolution and GELU by a kernel of Numba; the sum before the GELU is computed again for the gradient."""

from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.depthwise_conv_gelu import numba_kernels
from gsm_plugin.ops.depthwise_conv_gelu.torch_impl import grad_weight

# Of a frame, in a piece of work, whatever the number of threads.
_ROWS = 16
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def depthwise_conv_gelu_numba(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Computes `depthwise_conv_gelu`, arguments and result as described there; half precision in float32."""
    return _ConvolutionGelu.apply(x.float(), weight.float(), bias.float()).to(x.dtype)


class _ConvolutionGelu(torch.autograd.Function):
    """x (b, t, h, w, c), weight (c, 3, 3, 3), bias (c)."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight, bias)
        return _convolve(x, weight, bias, with_gelu=True)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight, bias = ctx.saved_tensors
        grad = torch.ops.aten.gelu_backward(grad.contiguous(), _convolve(x, weight, bias))
        grad_x = _convolve(grad, weight.flip(1, 2, 3), torch.zeros_like(bias)) if ctx.needs_input_grad[0] else None
        of_weight = grad_weight(x.movedim(-1, 1), grad.movedim(-1, 1), weight[:, None])
        return grad_x, of_weight[:, 0], grad.sum((0, 1, 2, 3))


def _convolve(x: Tensor, weight: Tensor, bias: Tensor, with_gelu: bool = False) -> Tensor:
    """The sums of a contiguous x, or GELU of them."""
    output, (b, _, h, _, _) = torch.empty_like(x), x.shape
    taps = weight.movedim(0, -1).contiguous()
    of_x, of_taps, of_bias, result = (tensor.detach().numpy() for tensor in (x, taps, bias.contiguous(), output))
    calls = (
        partial(kernels.convolve, of_x[i], of_taps, of_bias, first, min(first + _ROWS, h), with_gelu, result[i])
        for i, first in product(range(b), range(0, h, _ROWS))
    )
    share(calls, x.numel() * weight[0].numel())
    return output
