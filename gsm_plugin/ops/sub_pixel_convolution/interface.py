"""Sub-pixel convolution (ESPCN, arXiv 1609.05158) with a LeakyReLU, in inference; without the former for factor 1."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, needs_triton, outside_autocast, splits_products
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'sub_pixel_convolution'


def _numba_covers(x: Tensor, weight: Tensor, *_: object) -> str | None:
    """Why Numba's kernels do not cover a call in float32, or None where they do."""
    return outside_autocast(x) if weight.shape[2:] == (3, 3) else 'its kernels are for 3x3 taps'


declare(
    OP,
    Backend('triton', 'one kernel, products split for tensor cores', needs_triton, (torch.float32,), splits_products),
    Backend('numba', 'fewer products, in the cache of this CPU', needs_numba, (torch.float32,), _numba_covers),
    Backend('torch', 'ops one after the other'),
    Backend('naive', 'the definition'),
)


def sub_pixel_convolution(
    x: Tensor, weight: Tensor, bias: Tensor, factor: int = 1, slope: float = 1.0, backend: str = 'auto'
) -> Tensor:
    """Convolves images, with zeros beyond their border, and does what `shuffle_leaky_relu` does.

    In float32 without autocast, triton splits factors into two parts of float16 each, where
    `gsm_plugin.switches.split_products` is on. A pixel that sees one that is not finite is not finite either, but NaN
    where float32 would give infinity.

    Args:
        x: (n, c, h, w).
        weight: (m * factor**2, c, k, k), k odd.
        bias: (m * factor**2,).
        factor: See `shuffle_leaky_relu`.
        slope: See `shuffle_leaky_relu`; here, it may be 0, for a ReLU.
        backend: auto, triton, numba, torch or naive. triton and numba are for float32 without autocast and give
            channels last, numba for 3x3 taps.

    Returns:
        (n, m, h * factor, w * factor), of x's type, under autocast of its type.

    Raises:
        ValueError: Shapes do not fit each other, a slope is less than 0, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('sub_pixel_convolution keeps no gradients; call it within torch.no_grad().')
    if x.ndim != 4 or factor < 1 or len(weight) % factor**2:
        raise ValueError(
            f'x has the shape {tuple(x.shape)} and weight {tuple(weight.shape)}; give (n, c, h, w), and for factor '
            f'{factor} a multiple of {factor**2} channels.'
        )
    side = weight.shape[-1]
    if side % 2 == 0:
        raise ValueError(f'weight has the shape {tuple(weight.shape)}; give it an odd number of taps, such as 3 x 3.')
    expected = ('weight', weight, (len(weight), x.shape[1], side, side)), ('bias', bias, (len(weight),))
    check_shapes(f'x {tuple(x.shape)} needs', expected)
    if not slope >= 0:
        raise ValueError(f'slope is {slope}; set 0 or a number greater than 0.')
    return compute(OP, backend, x, (x, weight, bias, factor, slope))
