"""Layer norm (arXiv 1607.06450) and the residual sum before it: three functions, one kernel per direction."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'residual_norm'


declare(
    OP,
    Backend('triton', 'sum and norm in one pass that writes the type that is needed next', needs_triton),
    Backend('torch', 'plain operators'),
    Backend('naive', 'the definition'),
)


def layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype, backend: str = 'auto'
) -> Tensor:
    """Normalises the channels of every row.

    Args:
        x: (..., c), of any strides.
        weight: (c,).
        bias: (c,).
        eps: Added to the variance.
        dtype: Type of the result; inside, it is float32 or better.
        backend: auto, triton, torch or naive.

    Returns:
        (..., c), contiguous, of type `dtype`.

    Raises:
        ValueError: The channels of x, weight and bias differ.
        RuntimeError: The named backend cannot run here.
    """
    _check_channels(x, weight=weight, bias=bias)
    return compute(OP, backend, x, (x, None, None, weight, bias, eps, dtype))[1]


def residual_layer_norm(
    x: Tensor,
    update: Tensor,
    scale: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype,
    backend: str = 'auto',
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Computes `scale * x + update` and its layer norm.

    Args:
        x: (..., c), of any strides.
        update: As large as x, of any type.
        scale: (c,), or None for ones.
        weight: See `layer_norm`.
        bias: See `layer_norm`.
        eps: See `layer_norm`.
        dtype: See `layer_norm`.
        backend: See `layer_norm`.
        into: Without gradients, what the sum is written to, such as x itself.

    Returns:
        The sum, which is `into` or of the type to which PyTorch promotes its terms, and its norm; both as large as x.

    Raises:
        ValueError: Sizes do not fit each other, or there is `into` with gradients.
        RuntimeError: The named backend cannot run here.
    """
    _check_channels(x, weight=weight, bias=bias, scale=scale)
    _check_update(x, update, into)
    return compute(OP, backend, x, (x, update, scale, weight, bias, eps, dtype, into))


def residual_sum(
    x: Tensor, update: Tensor, scale: Tensor | None, backend: str = 'auto', into: Tensor | None = None
) -> Tensor:
    """Computes `scale * x + update`; arguments, result and errors as in `residual_layer_norm`."""
    _check_channels(x, scale=scale)
    _check_update(x, update, into)
    return compute(OP, backend, x, (x, update, scale, None, None, 0.0, x.dtype, into))[0]


def _check_channels(x: Tensor, **parameters: Tensor | None) -> None:
    given = ((name, parameter, x.shape[-1:]) for name, parameter in parameters.items() if parameter is not None)
    check_shapes(f'x {tuple(x.shape)} needs', given)


def _check_update(x: Tensor, update: Tensor, into: Tensor | None) -> None:
    for name, tensor in (('update', update), ('into', into)):
        if tensor is not None and tensor.shape != x.shape:
            raise ValueError(f'{name} has the shape {tuple(tensor.shape)}; give that of x, {tuple(x.shape)}.')
    if into is not None and torch.is_grad_enabled():
        raise ValueError('into keeps no gradients; leave it out, or call within torch.no_grad().')
