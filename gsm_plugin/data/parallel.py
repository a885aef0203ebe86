"""Work on many frames at once, with a progress bar."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')

# Results that wait for their turn: enough to keep every worker busy, few enough for large frames.
_AHEAD = 4


def default_workers() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Calls a function in several threads; decoders, checksums and files leave Python's lock to each other.

    Args:
        function: Called once for every item.
        items: Taken as they are needed, so that results do not pile up.
        workers: Number of threads.

    Yields:
        The results in the order of the items. The first error ends it.
    """
    items = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(function, item) for item in islice(items, _AHEAD * workers))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(items, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
