"""Shares the work of kernels that let go of Python's lock among threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

# Multiplications that take one thread some milliseconds. Starting others, and waiting for Python's lock behind them,
# takes about one, and several on a machine with other work.
_WORTH_THREADS = 2**23


def share(calls: Iterable[Callable[[], None]], multiplications: int) -> None:
    """Makes calls that let go of Python's lock, on as many threads as PyTorch has if that is worth it.

    A thread that is done takes the next call. So there is nothing to wait for but the end, however slow another thread
    is, which on a machine with other work is what costs most. The threads end with the calls: none is left for a
    process that is forked later.

    Args:
        calls: What is to be called, in any order.
        multiplications: About how many there are in all of them.
    """
    calls, threads = list(calls), torch.get_num_threads()
    if min(len(calls), threads) < 2 or multiplications < _WORTH_THREADS:
        for call in calls:
            call()
        return
    with ThreadPoolExecutor(min(len(calls), threads)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
