"""Sub-pixel convolution (ESPCN, arXiv 1609.05158) with a LeakyReLU, in inference."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, outside_autocast
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'sub_pixel_convolution'


declare(
    OP,
    Backend('numba', 'fewer products, in the cache of this CPU', needs_numba, (torch.float32,), outside_autocast),
    Backend('torch', 'ops one after the other'),
    Backend('naive', 'the definition'),
)


def sub_pixel_convolution(
    x: Tensor, weight: Tensor, bias: Tensor, factor: int = 1, slope: float = 1.0, backend: str = 'auto'
) -> Tensor:
    """Convolves images by 3x3 taps, with zeros beyond their border, and does what `shuffle_leaky_relu` does.

    Args:
        x: (n, c, h, w).
        weight: (m * factor**2, c, 3, 3).
        bias: (m * factor**2,).
        factor: See `shuffle_leaky_relu`.
        slope: See `shuffle_leaky_relu`.
        backend: auto, numba, torch or naive. numba is for float32 without autocast, and gives channels last.

    Returns:
        (n, m, h * factor, w * factor), of x's type, under autocast of its type.

    Raises:
        ValueError: Shapes do not fit each other, a slope is not greater than 0, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('sub_pixel_convolution keeps no gradients; call it within torch.no_grad().')
    if x.ndim != 4 or factor < 1 or len(weight) % factor**2:
        raise ValueError(
            f'x has the shape {tuple(x.shape)} and weight {tuple(weight.shape)}; give (n, c, h, w), and for factor '
            f'{factor} a multiple of {factor**2} channels.'
        )
    expected = ('weight', weight, (len(weight), x.shape[1], 3, 3)), ('bias', bias, (len(weight),))
    check_shapes(f'x {tuple(x.shape)} needs', expected)
    if slope <= 0:
        raise ValueError(f'slope is {slope}; set a number greater than 0.')
    return compute(OP, backend, x, (x, weight, bias, factor, slope))
