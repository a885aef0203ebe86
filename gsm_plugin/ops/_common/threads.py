"""Shares the work of kernels that let go of Python's lock among threads."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch

# Multiplications that take one thread some milliseconds. Waking others, and waiting for Python's lock behind them,
# takes a part of one, and several on a machine with other work.
_WORTH_THREADS = 2**23


def share(calls: Iterable[Callable[[], None]], multiplications: int) -> None:
    """Makes calls that let go of Python's lock, on as many threads as PyTorch has if that is worth it.

    This thread takes part, and one that is done takes the next call. So there is nothing to wait for but the end,
    however slow another thread is, which on a machine with other work is what costs most.

    Args:
        calls: What is to be called, in any order.
        multiplications: About how many there are in all of them.
    """
    left, threads = deque(calls), torch.get_num_threads()

    def work() -> None:
        while left:
            try:
                call = left.popleft()
            except IndexError:
                # another thread was faster
                return
            call()

    if min(len(left), threads) < 2 or multiplications < _WORTH_THREADS:
        work()
        return
    pool = _helpers.pool(threads - 1)
    futures = [pool.submit(work) for _ in range(min(len(left), threads) - 1)]
    try:
        work()
    finally:
        left.clear()
        # what has not begun finds nothing to do any more
        for future in futures:
            if not future.cancel():
                future.result()


class _Helpers:
    """Threads that wait for work from one call to the next: to start them takes longer than some calls."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forgets the threads: they are not there in a process that was forked."""
        self._lock, self._number = threading.Lock(), 0

    def pool(self, number: int) -> ThreadPoolExecutor:
        """So many threads at least."""
        with self._lock:
            if self._number < number:
                self._number, self._pool = number, ThreadPoolExecutor(number, 'kernels')
            return self._pool


_helpers = _Helpers()
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_helpers.forget)
