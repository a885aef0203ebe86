"""A linear layer: in training both passes by TF32 or neither, in inference in float32 by split products."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton, splits_products
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'linear'

# Of rows whose length is no multiple of this, the kernel could read but one entry at a time.
_READ_AT_ONCE = 16


def _splits(x: Tensor, *_: object) -> str | None:
    """Why the kernel does not cover a call in float32, or None where it does."""
    if torch.is_grad_enabled():
        return 'its kernel keeps no gradients'
    if x.shape[-1] % _READ_AT_ONCE:
        return f'its kernel is slow for rows of {x.shape[-1]} entries, which is no multiple of {_READ_AT_ONCE}'
    return splits_products(x)


declare(
    OP,
    Backend(
        'triton', 'in inference in float32, products split for tensor cores', needs_triton, (torch.float32,), _splits
    ),
    Backend('torch', 'products by PyTorch, in both passes as in the first'),
    Backend('naive', 'the definition'),
)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, backend: str = 'auto', onto: Tensor | None = None
) -> Tensor:
    """Multiplies rows by a matrix and adds a bias.

    With gradients on a GPU, torch sums that of the bias in two steps, in float32 at least. PyTorch sums the columns of
    a high matrix in one, which leaves most of a GPU idle. Where TF32 is on, it is for the gradients, too, even if it is
    off when they are computed.

    Without gradients and autocast in float32, triton splits factors into two parts of float16 each, where
    `gsm_plugin.switches.split_products` is on and c is a multiple of 16. A row that is not finite gives one that is not
    finite, but NaN where float32 would give infinity.

    Args:
        x: (..., c).
        weight: (m, c).
        bias: (m,), or None.
        backend: auto, triton, torch or naive. triton is for float32 without gradients.
        onto: What the result is added to, where it is: (..., m), contiguous, of the type of products; without
            gradients alone. None for new memory.

    Returns:
        (..., m): `onto`, or new memory, under autocast of its type.

    Raises:
        ValueError: There is something to be added to, but gradients are on, or its shape does not fit.
        RuntimeError: The named backend cannot run here.
    """
    if onto is not None:
        _check_sum(x, weight, onto)
    return compute(OP, backend, x, (x, weight, bias, onto))


def _check_sum(x: Tensor, weight: Tensor, onto: Tensor) -> None:
    if torch.is_grad_enabled():
        raise ValueError('linear keeps no gradients of what it adds to; call it within torch.no_grad().')
    rows = (*x.shape[:-1], len(weight))
    check_shapes(f'x {tuple(x.shape)} and {len(weight)} rows of weight need', (('onto', onto, rows),))
    if not onto.is_contiguous():
        raise ValueError(f'onto has the strides {onto.stride()}; give a contiguous tensor of {rows}.')
