"""Bias, pixel shuffle (ESPCN, arXiv 1609.05158) and LeakyReLU in one pass."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'shuffle_leaky_relu'


def _kernel_covers(x: Tensor, *_: object) -> str | None:
    """Why the Triton kernel does not cover a call, or None where it does."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return None if last else "channels are not last in the images' memory"


declare(
    OP,
    Backend('triton', 'one pass, channels last', needs_triton, covers=_kernel_covers),
    Backend('torch', 'plain operators'),
    Backend('naive', 'the definition'),
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
    return compute(OP, backend, x, (x, bias, factor, slope))
