"""Convolution in training: without cuDNN's search for the fastest algorithm, both passes by TF32 or neither."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gsm_plugin.ops._common import tf32
from gsm_plugin.ops._common.switch import Switch

_gradients = torch.ops.aten.convolution_backward
_search = Switch(torch.backends.cudnn, 'benchmark')


def convolve_3x3(x: Tensor, weight: Tensor) -> Tensor:
    """Convolves images; a border of zeros keeps their size.

    With gradients on a GPU, cuDNN does not search: in float32 an algorithm that it tries takes gigabytes for a moment,
    more than the rest of a training step, and what it finds is hardly faster than what it takes without a search. Where
    TF32 is on, it is for the gradients, too, and where it is off, it is not, however it is when they are computed.

    Args:
        x: (n, c, h, w).
        weight: (m, c, 3, 3).

    Returns:
        (n, m, h, w), under autocast of its type.
    """
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
