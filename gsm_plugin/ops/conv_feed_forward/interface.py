"""The feed-forward network with a depthwise convolution (GSM, arXiv 2510.00862), in inference."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'conv_feed_forward'


class ConvFeedForward(NamedTuple):
    """Parameters; matrices as Linear has them, (channels out, channels in).

    Attributes:
        inner: From x to the hidden channels, (n, c).
        inner_bias: Its bias, (n,).
        taps: Of the depthwise convolution, (n, 3, 3, 3): time, height, width.
        taps_bias: Its bias, (n,).
        out: From the hidden channels to what is added, (c, n).
    """

    inner: Tensor
    inner_bias: Tensor
    taps: Tensor
    taps_bias: Tensor
    out: Tensor


declare(
    OP,
    Backend('numba', 'some rows at a time, in the cache of this CPU', needs_numba, (torch.float32,)),
    Backend('torch', 'ops one after the other'),
    Backend('naive', 'the definition'),
)


def conv_feed_forward(
    x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor, backend: str = 'auto'
) -> Tensor:
    """Adds `out(gelu(conv(inner(x))))` of some frames to what is there; see `depthwise_conv_gelu`.

    Args:
        x: (b, t, h, w, c), of the type of matrices.
        parameters: See `ConvFeedForward`.
        wanted: Frames of x whose result is wanted; the convolution reads their neighbours as well.
        total: What is added to, (b, frames, h, w, c), of x's type; frames of a clip contiguous.
        backend: auto, numba, torch or naive. numba is for float32; auto takes torch for other types.

    Returns:
        The total.

    Raises:
        ValueError: Sizes do not fit each other, frames of a clip are not contiguous, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('conv_feed_forward keeps no gradients; call it within torch.no_grad().')
    _check_sizes(x, parameters, wanted, total)
    return compute(OP, backend, x, (x, parameters, wanted, total))


def _check_sizes(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> None:
    b, t, h, w, c = x.shape
    frames = len(range(t)[wanted])
    if total.shape != (b, frames, h, w, c):
        raise ValueError(
            f'total has the shape {tuple(total.shape)}; {frames} frames of x {tuple(x.shape)} need '
            f'{(b, frames, h, w, c)}.'
        )
    if total.numel() and not total[0].is_contiguous():
        raise ValueError(f'A clip of total has the strides {total.stride()[1:]}; give contiguous frames.')
    n = len(parameters.inner)
    shapes: list[tuple[int, ...]] = [(n, c), (n,), (n, 3, 3, 3), (n,), (c, n)]
    check_shapes(f'{c} channels of x need', zip(ConvFeedForward._fields, parameters, shapes, strict=True))
