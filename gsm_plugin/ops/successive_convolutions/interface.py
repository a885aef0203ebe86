"""Two 3x3 convolutions in a row, the second one to few colours, added to images, in inference."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, outside_autocast
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'successive_convolutions'


def _numba_covers(x: Tensor, inner_weight: Tensor, _: Tensor, weight: Tensor, *__: Tensor) -> str | None:
    """Why Numba's kernel does not cover a call in float32, or None where it does."""
    (m, c), colours = inner_weight.shape[:2], len(weight)
    if 25 * colours * c > 9 * m * (c + colours):
        return f'with {colours} colours, one convolution of 5x5 taps takes more products than two of 3x3'
    return outside_autocast(x)


declare(
    OP,
    Backend('numba', 'one convolution for two', needs_numba, (torch.float32,), _numba_covers),
    Backend('torch', 'one after the other'),
    Backend('naive', 'the definition'),
)


def successive_convolutions(
    x: Tensor,
    inner_weight: Tensor,
    inner_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    images: Tensor,
    backend: str = 'auto',
) -> Tensor:
    """Computes `images + conv(inner_conv(x))`; what each convolves is zero beyond its border.

    Args:
        x: (n, c, h, w).
        inner_weight: Of the convolution that x goes through first, (m, c, 3, 3).
        inner_bias: (m,).
        weight: Of the other one, (colours, m, 3, 3).
        bias: (colours,).
        images: What is added to, (n, colours, h, w).
        backend: auto, numba, torch or naive. numba is for float32 without autocast and for few colours.

    Returns:
        (n, colours, h, w), of the type to which PyTorch promotes that of the convolutions and that of the images.

    Raises:
        ValueError: The shapes do not belong together, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('successive_convolutions keeps no gradients; call it within torch.no_grad().')
    if x.ndim != 4 or images.ndim != 4:
        raise ValueError(f'x has the shape {tuple(x.shape)} and images {tuple(images.shape)}; give both four axes.')
    (n, c, h, w), colours, m = x.shape, images.shape[1], len(inner_weight)
    parameters = (
        ('inner_weight', inner_weight, (m, c, 3, 3)),
        ('inner_bias', inner_bias, (m,)),
        ('weight', weight, (colours, m, 3, 3)),
        ('bias', bias, (colours,)),
        ('images', images, (n, colours, h, w)),
    )
    check_shapes(f'x {tuple(x.shape)} and {colours} colours need', parameters)
    return compute(OP, backend, x, (x, inner_weight, inner_bias, weight, bias, images))
