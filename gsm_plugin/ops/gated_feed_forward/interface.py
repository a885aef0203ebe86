"""The rest of an attention block behind its heads, in inference: projection, and feed-forward network with GEGLU."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, needs_triton, outside_autocast
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'gated_feed_forward'

_MOST_CHANNELS = 192


class FeedForward(NamedTuple):
    """Parameters; matrices as Linear has them, (channels out, channels in), vectors (channels out,).

    Attributes:
        proj: Projects what the heads saw, (c, k).
        proj_bias: Its bias.
        norm: Weight of the layer norm, (c,).
        norm_bias: Its bias.
        gate: From the norm to what GELU is applied to, (n, c).
        gate_bias: Its bias.
        value: From the norm to what is gated, (n, c).
        value_bias: Its bias.
        out: From what was gated to what is added, (c, n).
        out_bias: Its bias.
    """

    proj: Tensor
    proj_bias: Tensor
    norm: Tensor
    norm_bias: Tensor
    gate: Tensor
    gate_bias: Tensor
    value: Tensor
    value_bias: Tensor
    out: Tensor
    out_bias: Tensor


def _kernel_covers(x: Tensor, *_: object) -> str | None:
    """Why the Triton kernel does not cover a call in a type that it has, or None where it does."""
    channels = x.shape[-1]
    if channels > _MOST_CHANNELS:
        return f'there are {channels} channels, its kernel takes up to {_MOST_CHANNELS}'
    return None


def _numba_covers(x: Tensor, *_: object) -> str | None:
    """Why Numba's kernel does not cover a call whose products are in float32, or None where it does."""
    return outside_autocast(x) if x.dtype == torch.float32 else f'x is {x.dtype}, its kernel adds to float32'


declare(
    OP,
    Backend('triton', 'one kernel', needs_triton, (torch.bfloat16, torch.float16), _kernel_covers),
    Backend(
        'numba', 'some rows at once, from the first product to the last', needs_numba, (torch.float32,), _numba_covers
    ),
    Backend('torch', 'ops one after the other'),
    Backend('naive', 'the definition'),
)


def gated_feed_forward(
    x: Tensor,
    attended: Tensor,
    parameters: FeedForward,
    eps: float,
    dtype: torch.dtype,
    backend: str = 'auto',
    into: Tensor | None = None,
) -> Tensor:
    """Computes `s + out(gelu(gate(n)) * value(n))` with `s = x + proj(attended)` and n the layer norm of s.

    Args:
        x: (..., c).
        attended: (..., k).
        parameters: See `FeedForward`; matrices may be of type `dtype` already.
        eps: Added to the variance.
        dtype: Type in which matrices are multiplied, that of autocast where it is on; sums are float32 or better.
        backend: auto, triton, numba, torch or naive. The kernel of triton is for bfloat16 and float16 and up to 192
            channels, that of numba for float32 without autocast; auto takes torch for what is beyond.
        into: What the result is written to, such as x itself.

    Returns:
        (..., c): `into`, or of the type to which PyTorch promotes x's and `dtype`.

    Raises:
        ValueError: Sizes do not fit each other, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('gated_feed_forward keeps no gradients; call it within torch.no_grad().')
    _check_sizes(x, attended, parameters, into)
    return compute(OP, backend, x, (x, attended, parameters, eps, dtype, into), dtype)


def _check_sizes(x: Tensor, attended: Tensor, parameters: FeedForward, into: Tensor | None) -> None:
    c, k, n = x.shape[-1], attended.shape[-1], len(parameters.gate)
    if attended.shape[:-1] != x.shape[:-1]:
        raise ValueError(f'attended has the shape {tuple(attended.shape)}; give as many rows as x, {tuple(x.shape)}.')
    if into is not None and into.shape != x.shape:
        raise ValueError(f'into has the shape {tuple(into.shape)}; give that of x, {tuple(x.shape)}.')
    shapes = [(c, k), (c,), (c,), (c,), (n, c), (n,), (n, c), (n,), (c, n), (c,)]
    check_shapes(f'{c} channels of x need', zip(FeedForward._fields, parameters, shapes, strict=True))
