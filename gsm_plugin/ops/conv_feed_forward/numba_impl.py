"""The feed-forward network of a window on a CPU, in strips of columns whose hidden channels stay in its cache."""

from functools import partial
from math import ceil
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.multiplying import of_whole_vectors
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops._common.vectors import LANES
from gsm_plugin.ops.conv_feed_forward import numba_kernels
from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward

# Hidden numbers that a strip keeps, at most, but not less than those of eight columns; and rows in a piece of work.
_NUMBERS, _ROWS = 2**17, 64
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def conv_feed_forward_numba(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> Tensor:
    """Computes `conv_feed_forward`, arguments and result as described there."""
    own = [parameter.numpy() for parameter in _for_kernel(parameters)]
    _, frames, height, width, _ = x.shape
    first, last, _ = wanted.indices(frames)
    if not total.numel():
        return total
    strips = ceil(width / max(8, _NUMBERS // (3 * frames * own[1].size) - 2))
    columns = ceil(width / strips)
    calls = (
        partial(
            kernels.add,
            *(clip.numpy(), *own, first, last, row, min(row + _ROWS, height), column, min(column + columns, width)),
            sums.numpy(),
        )
        for clip, sums in zip(x.contiguous(), total, strict=True)
        for row in range(0, height, _ROWS)
        for column in range(0, width, columns)
    )
    share(calls, total[..., 0].numel() * sum(parameter.numel() for parameter in parameters))
    return total


def _for_kernel(parameters: ConvFeedForward) -> ConvFeedForward:
    """As the kernel takes them, hidden channels made whole vectors by zeros."""
    inner, inner_bias, taps, taps_bias, out = (parameter.detach() for parameter in parameters)
    lacking = -len(inner) % LANES
    by_tiles = F.pad(taps.flatten(1), (0, 0, 0, lacking)).unflatten(0, (-1, LANES)).mT.contiguous()
    biases = (F.pad(bias, (0, lacking)) for bias in (inner_bias, taps_bias))
    return ConvFeedForward(
        of_whole_vectors(inner), next(biases), by_tiles, next(biases), of_whole_vectors(F.pad(out, (0, lacking)))
    )
