"""Window attention on a CPU, without gradients, by a kernel of Numba that reads tokens where they are."""

from functools import partial
from math import ceil, inf, prod
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops._common.threads import share
from gsm_plugin.ops._common.vectors import LANES
from gsm_plugin.ops.window_attention import numba_kernels

# In a piece of work.
_WINDOWS = 8
# By Numba's annotations, a compiled function takes no list of arguments.
kernels: Any = numba_kernels


def window_attention_numba(
    qkv: Tensor, bias: Tensor, window_size: tuple[int, int, int], shift_size: tuple[int, int, int]
) -> Tensor:
    """Computes `window_attention`, arguments and result as described there."""
    (batch, *sides, channels), (heads, tokens, _) = qkv.shape, bias.shape
    output = scratch.empty('window_attention.output', (batch, *sides, channels // 3), qkv)
    split = qkv.contiguous().view(batch, *sides, 3, heads, -1).numpy()
    result = output.view(batch, *sides, heads, -1).numpy()
    n = ceil(tokens / LANES) * LANES
    # no weight for keys beyond the window
    of_keys = F.pad(bias * float(kernels.LOG2_E), (0, n - tokens), value=-inf)
    own = split, F.pad(of_keys, (0, 0, 0, n - tokens)).numpy(), tokens, tuple(window_size), tuple(shift_size)
    count = batch * prod(ceil(side / size) for side, size in zip(sides, window_size, strict=True))
    calls = (
        partial(kernels.attend, *own, first, min(first + _WINDOWS, count), result)
        for first in range(0, count, _WINDOWS)
    )
    # products with keys, and with values
    share(calls, 2 * count * tokens**2 * channels // 3)
    return output
