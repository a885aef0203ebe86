"""Convolution from many channels to few colours in inference, with what stands before and behind it."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'colour_convolution'

_MOST_CHANNELS, _MOST_COLOURS = 128, 7


def _kernel_covers(x: Tensor, x_bias: Tensor, weight: Tensor, *_: Tensor) -> str | None:
    """Why the Triton kernel does not cover a call in a type that it has, or None where it does."""
    colours, channels = weight.shape[:2]
    if channels > _MOST_CHANNELS or colours > _MOST_COLOURS:
        most = f'up to {_MOST_CHANNELS} and {_MOST_COLOURS}'
        return f'there are {channels} channels and {colours} colours, its kernel takes {most}'
    if not x.is_contiguous(memory_format=torch.channels_last):
        return "channels are not last in the images' memory"
    return None


declare(
    OP,
    Backend('triton', 'one kernel, channels last', needs_triton, (torch.bfloat16, torch.float16), _kernel_covers),
    Backend('torch', 'ops one after the other'),
    Backend('naive', 'the definition'),
)


def colour_convolution(
    x: Tensor, x_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor, backend: str = 'auto'
) -> Tensor:
    """Computes `images + conv(x + x_bias) + bias` with a 3x3 convolution; beyond its border, `x + x_bias` is zero.

    Args:
        x: (n, c, h, w).
        x_bias: (c,).
        weight: (m, c, 3, 3), taken to x's type, in which matrices are multiplied; sums are float32 or better.
        bias: (m,).
        images: What is added to, (n, m, h, w).
        backend: auto, triton, torch or naive. The kernel of triton is for bfloat16 and float16, channels last, up to
            128 channels and 7 colours; auto takes torch for what is beyond.

    Returns:
        (n, m, h, w), of the type to which PyTorch promotes x's and that of the images.

    Raises:
        ValueError: The shapes do not belong together, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('colour_convolution keeps no gradients; call it within torch.no_grad().')
    _check_sizes(x, x_bias, weight, bias, images)
    return compute(OP, backend, x, (x, x_bias, weight, bias, images))


def _check_sizes(x: Tensor, x_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> None:
    if x.ndim != 4 or images.ndim != 4 or images.shape[::2] != x.shape[::2] or images.shape[3] != x.shape[3]:
        raise ValueError(
            f'x has the shape {tuple(x.shape)} and images {tuple(images.shape)}; give (n, c, h, w) and (n, m, h, w).'
        )
    c, m = x.shape[1], images.shape[1]
    parameters = ('x_bias', x_bias, (c,)), ('weight', weight, (m, c, 3, 3)), ('bias', bias, (m,))
    check_shapes(f'{c} channels, {m} colours need', parameters)
