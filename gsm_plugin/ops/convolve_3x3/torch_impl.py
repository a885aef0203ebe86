"""A 3x3 convolution by PyTorch's own, without cuDNN's search, both passes by TF32 or neither."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gsm_plugin.switches import tf32
from gsm_plugin.switches.switch import Switch

_gradients = torch.ops.aten.convolution_backward
_search = Switch(torch.backends.cudnn, 'benchmark')


def convolve_3x3_torch(x: Tensor, weight: Tensor) -> Tensor:
    """Computes `convolve_3x3`, arguments and result as described there."""
    if not (x.is_cuda and torch.is_grad_enabled()):
        return F.conv2d(x, weight, padding=1)
    return Convolution.apply(x, weight)


class Convolution(torch.autograd.Function):
    """`apply(x, weight)`; neither pass searches."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.by_tf32 = tf32.convolutions.is_on()
        with _search.turned(False):
            output = F.conv2d(x, weight, padding=1)
        # autocast may have taken them to another type
        ctx.save_for_backward(x.to(output.dtype), weight.to(output.dtype))
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wanted = *ctx.needs_input_grad, False
        with _search.turned(False), tf32.convolutions.turned(ctx.by_tf32):
            return _gradients(grad_output, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)[:2]
