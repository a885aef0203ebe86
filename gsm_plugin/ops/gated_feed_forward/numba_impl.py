"""What is behind the heads of an attention block on a CPU, by a kernel of Numba, a few rows at once."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.multiplying import of_whole_vectors
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops._common.vectors import LANES
from gsm_plugin.ops.gated_feed_forward import numba_kernels
from gsm_plugin.ops.gated_feed_forward.interface import FeedForward
from gsm_plugin.ops.gated_feed_forward.torch_impl import empty_output

# In a piece of work.
_ROWS = 512
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def gated_feed_forward_numba(
    x: Tensor, attended: Tensor, parameters: FeedForward, eps: float, dtype: torch.dtype, into: Tensor | None
) -> Tensor:
    """Computes `gated_feed_forward`, arguments and result as described there."""
    output = into if into is not None and into.is_contiguous() else empty_output(x, dtype)
    own = FeedForward(*(_for_kernel(name, p.detach()) for name, p in parameters._asdict().items()))
    rows = [tensor.contiguous().view(-1, tensor.shape[-1]) for tensor in (x, attended)]
    of_x, of_attended, *of_own, of_output = (
        tensor.numpy() for tensor in (*rows, *own, output.view(-1, output.shape[-1]))
    )
    calls = (
        partial(kernels.feed_forward, of_x, of_attended, *of_own, eps, first, min(first + _ROWS, len(of_x)), of_output)
        for first in range(0, len(of_x), _ROWS)
    )
    share(calls, len(of_x) * sum(p.numel() for p in parameters))
    return output if into is None or output is into else into.copy_(output)


def _for_kernel(name: str, parameter: Tensor) -> Tensor:
    if parameter.ndim == 2:
        return of_whole_vectors(parameter)
    # those of columns that are multiplied
    return (
        F.pad(parameter, (0, -len(parameter) % LANES))
        if name in ('gate_bias', 'value_bias')
        else parameter.contiguous()
    )
