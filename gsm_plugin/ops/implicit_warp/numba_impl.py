"""The implicit warp by a kernel of Numba; its backward pass is that of the torch backend."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops.implicit_warp import numba_kernels as kernels
from gsm_plugin.ops.implicit_warp.torch_impl import implicit_warp_by

# In a piece of work, whatever the number of threads.
_PIXELS = 1024


def implicit_warp_numba(*arguments) -> Tensor:
    """Computes `implicit_warp`, arguments and result as described there; half precision in float32."""
    keeps_weights = torch.is_grad_enabled()
    return implicit_warp_by(partial(_attend, keeps_weights), *arguments)


def _attend(
    keeps_weights: bool,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    index: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
) -> tuple[Tensor, Tensor]:
    output, pixels = torch.empty_like(q, memory_format=torch.contiguous_format), len(q)
    weights = q.new_empty(pixels if keeps_weights else 0, 4, num_heads)
    rows = [x.contiguous().unflatten(-1, (num_heads, -1)) for x in (q, k, v, key_position, value_position, output)]
    q, k, v, key_position, value_position, of_output = (x.detach().numpy() for x in rows)
    inputs = q, k, v, index.contiguous().numpy(), key_position, value_position, np.float32(q.shape[2] ** -0.5)
    calls = (
        partial(kernels.attend, *inputs, first, min(first + _PIXELS, pixels), of_output, weights.numpy())
        for first in range(0, pixels, _PIXELS)
    )
    # products of queries with the keys of four neighbours, and of their weights with the values
    share(calls, 8 * output.numel())
    return output, weights
