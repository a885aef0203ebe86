"""Tells where kernels compiled by Numba can run, without importing it, and shares their work among threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import torch

# What its kernels compute: all in float32.
UP_TO_FLOAT32 = (torch.float32, torch.bfloat16, torch.float16)


@cache
def why_no_numba(device_type: str) -> str | None:
    """Why kernels compiled by Numba cannot run on a device type (`cpu`, `cuda`, ...), or None where they can."""
    if device_type != 'cpu':
        return f'its kernels run on a CPU, not on {device_type}'
    if find_spec('numba') is None:
        return 'numba is not installed (pip install numba)'
    return None


def share(calls: Iterable[Callable[[], None]]) -> None:
    """Makes calls that let go of Python's lock, on as many threads as PyTorch has.

    A thread that is done takes the next call. So there is nothing to wait for but the end, however slow another thread
    is, which on a machine with other work is what costs most. The threads end with the calls: none is left for a
    process that is forked later.

    Args:
        calls: What is to be called, in any order.
    """
    calls, threads = list(calls), torch.get_num_threads()
    if min(len(calls), threads) < 2:
        for call in calls:
            call()
        return
    with ThreadPoolExecutor(min(len(calls), threads)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
