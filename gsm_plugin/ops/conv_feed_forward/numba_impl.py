"""The feed-forward network of a window on a CPU, in bands of rows whose hidden channels stay in its cache."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward
from gsm_plugin.ops.depthwise_conv_gelu import numba_kernels

# Of a band, at most, but not less than two rows; and of channels in a piece of work.
_TOKENS, _CHANNELS = 1280, 64
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def conv_feed_forward_numba(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> Tensor:
    """Computes `conv_feed_forward`, arguments and result as described there."""
    own = ConvFeedForward(*(parameter.detach() for parameter in parameters))
    own = own._replace(taps=own.taps.movedim(0, -1).contiguous())
    for clip, sums in zip(x.contiguous(), total, strict=True):
        _add(clip, own, range(len(clip))[wanted], sums)
    return total


def _add(x: Tensor, parameters: ConvFeedForward, wanted: range, total: Tensor) -> None:
    """Adds what some frames of x (t, h, w, c) give to others, (frames, h, w, c)."""
    inner, shift, taps, bias, out = parameters
    (frames, height, width, _), channels = x.shape, len(inner)
    if not wanted or not total.numel():
        return
    rows = min(height, max(2, _TOKENS // (frames * width)))
    # behind the last two rows of the band before
    hidden = x.new_empty(frames, rows + 2, width, channels)
    convolved = x.new_empty(len(wanted), rows, width, channels)
    arrays = [tensor.numpy() for tensor in (hidden, shift.contiguous(), taps, bias.contiguous(), convolved)]
    of_hidden, of_shift, of_taps, of_bias, of_convolved = arrays
    for first in range(0, height, rows):
        last, top = min(first + rows, height), first - 1
        known = first + 1 if first else 0
        if first:
            hidden[:, :2] = hidden[:, rows:]
        for i in range(frames):
            new = x[i, known : last + 1].flatten(0, 1)
            torch.mm(new, inner.t(), out=hidden[i, known - top :].flatten(0, 1)[: len(new)])
        calls = (
            partial(
                kernels.convolve,
                *(of_hidden, of_shift, top, height, of_taps, of_bias, first, last),
                *(own, min(own + _CHANNELS, channels), True, of_convolved, wanted.start, first),
            )
            for own in range(0, channels, _CHANNELS)
        )
        share(calls, len(wanted) * (last - first) * width * channels * 27)
        for sums, addend in zip(total, convolved, strict=True):
            sums[first:last].flatten(0, 1).addmm_(addend[: last - first].flatten(0, 1), out.t())
