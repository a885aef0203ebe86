"""A 3x3 convolution with gradients on a CPU by minimal filtering, F(4x4, 3x3) (arXiv 1509.09308), in bands of rows."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops.convolve_3x3 import numba_kernels
from gsm_plugin.ops.sub_pixel_convolution import numba_kernels as of_images
from gsm_plugin.ops.sub_pixel_convolution.numba_impl import of_taps, sub_pixel_convolution_numba

# Tiles of 4x4 pixels of a band, at most, but not less than a row of them.
_TILES = 128
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels
spread_tiles: Any = of_images.spread_tiles


def convolve_3x3_numba(x: Tensor, weight: Tensor) -> Tensor:
    """Computes `convolve_3x3`, arguments and result as described there."""
    return _Convolution.apply(x, weight)


class _Convolution(torch.autograd.Function):
    """x (n, c, h, w), weight (m, c, 3, 3) -> (n, m, h, w), all of them float32."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        grad_x = _convolve(grad, weight.flip(2, 3).transpose(0, 1)) if of_x else None
        return grad_x, _grad_weight(x, grad) if of_weight else None


def _convolve(x: Tensor, weight: Tensor) -> Tensor:
    return sub_pixel_convolution_numba(x, weight, weight.new_zeros(len(weight)), 1, 1.0)


def _grad_weight(x: Tensor, grad: Tensor) -> Tensor:
    """The gradient to the taps: of the products of all tiles, what is multiplied by what is multiplied."""
    images, gradients = (tensor.permute(0, 2, 3, 1).contiguous() for tensor in (x, grad))
    (n, height, width, c), m = images.shape, gradients.shape[3]
    down, across = (-(-side // of_images.PIXELS) for side in (height, width))
    rows, total = max(1, _TILES // across), x.new_zeros(of_images.SEEN**2, c, m)
    of_x, of_grad = images.detach().numpy(), gradients.detach().numpy()
    for first in range(0, n * down, rows):
        last = min(first + rows, n * down)
        seen, made = (x.new_empty(len(total), (last - first) * across, channels) for channels in (c, m))
        spread_tiles(of_x, first, last, seen.numpy())
        kernels.spread_gradients(of_grad, first, last, made.numpy())
        total.baddbmm_(seen.mT, made)
    return (of_taps(total).t() @ total.flatten(1)).view(3, 3, c, m).permute(3, 2, 0, 1)
