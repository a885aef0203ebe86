"""Bias, pixel shuffle (ESPCN, arXiv 1609.05158) and LeakyReLU in one pass."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import why_no_triton
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare
from gsm_plugin.ops.shuffle_leaky_relu.naive import shuffle_leaky_relu_naive
from gsm_plugin.ops.shuffle_leaky_relu.torch_impl import shuffle_leaky_relu_torch

OP = 'shuffle_leaky_relu'


def _triton(x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    from gsm_plugin.ops.shuffle_leaky_relu.triton_impl import shuffle_leaky_relu_triton

    return shuffle_leaky_relu_triton(x, bias, factor, slope)


declare(
    OP,
    (
        Backend('triton', _triton, why_no_triton, 'one pass, channels last'),
        Backend('torch', shuffle_leaky_relu_torch, anywhere, 'plain operators'),
        Backend('naive', shuffle_leaky_relu_naive, anywhere, 'the definition'),
    ),
)


def shuffle_leaky_relu(x: Tensor, bias: Tensor, factor: int = 1, slope: float = 1.0, backend: str = 'auto') -> Tensor:
    """Adds a bias to channels, makes pixels of them, and multiplies what is negative by a slope.

    Pixel (y factor + i, x factor + j) of channel c is pixel (y, x) of channel (c factor + i) factor + j.

    Args:
        x: (n, c * factor**2, h, w).
        bias: (c * factor**2,).
        factor: By how much the sides grow.
        slope: Of the LeakyReLU, greater than 0; 1 leaves values as they are.
        backend: auto, triton, torch or naive; auto takes torch where channels are not last in x's memory.

    Returns:
        (n, c, h * factor, w * factor), of x's type, channels last if they are in x.

    Raises:
        ValueError: Shapes do not fit each other, or a slope is not greater than 0.
        RuntimeError: The named backend cannot run here.
    """
    if x.ndim != 4 or factor < 1 or x.shape[1] % factor**2:
        raise ValueError(f'x has the shape {tuple(x.shape)}; with factor {factor} give (n, c * factor**2, h, w).')
    check_shapes(f'x {tuple(x.shape)} needs', [('bias', bias, x.shape[1:2])])
    if slope <= 0:
        raise ValueError(f'slope is {slope}; set a number greater than 0.')
    last = x.is_contiguous(memory_format=torch.channels_last)
    not_triton = None if last else "channels are not last in the images' memory"
    return choose_backend(OP, backend, x.device.type, not_triton=not_triton).function(x, bias, factor, slope)
