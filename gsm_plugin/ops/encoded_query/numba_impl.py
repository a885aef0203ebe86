"""The query on a CPU, by a kernel of Numba that encodes a row and multiplies it."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops._common.multiplying import of_whole_vectors
from gsm_plugin.ops._common.sinusoids import EPSILON, wavelengths
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.encoded_query import numba_kernels

# Of a frame, in a piece of work.
_ROWS = 16
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def encoded_query_numba(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `encoded_query`, arguments and result as described there."""
    (n, _, h, w), (m, _, _, c) = flow.shape, target.shape
    query = scratch.empty('encoded_query.query', (n, h, w, c), target)
    product = of_whole_vectors(weight.to(dtype)), bias.to(dtype).contiguous()
    own = target.contiguous().numpy(), flow.contiguous().numpy(), *_turns(c), *(p.detach().numpy() for p in product)
    calls = (
        partial(kernels.project_encoded, *own, i, n // m, first, min(first + _ROWS, h), query.numpy())
        for i in range(n)
        for first in range(0, h, _ROWS)
    )
    # a polynomial for each number, and the product
    share(calls, (10 + c) * query.numel())
    return query


def _turns(channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each channel the turns of a pixel in y and in x, and those of a cosine before a sine."""
    of_pixel = 1 / ((2 + EPSILON) * wavelengths(channels, torch.device('cpu')))
    none = torch.zeros_like(of_pixel)
    of_y, of_x = torch.cat((of_pixel, none)), torch.cat((none, of_pixel))
    return of_y.numpy(), of_x.numpy(), np.resize(np.array((0, 0.25), np.float32), channels)
