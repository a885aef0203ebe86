"""Functions that Numba compiles once for all runs, and again when any of the kernels' sources has changed.

Numba's cache looks at the file of a function alone, but what is inlined into it stands in others.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

_OPS = Path(__file__).parents[1]
# `power_of_two` of exponentials.py rounds by adding and subtracting: nothing may change the order of sums.
_EXACT: Any = {'fastmath': {'contract', 'nsz'}}


def compiled(function: Callable | None = None, **options: Any) -> Callable:
    """Decorator: Numba's `njit` without Python's lock and checks of division, kept on the disk."""
    if function is None:
        return lambda function: compiled(function, **options)
    own: Any = {'cache': True, 'nogil': True, 'error_model': 'numpy', **options}
    dispatcher: Any = njit(**own)(function)
    kept = dispatcher._cache._cache_file
    kept._source_stamp = (*kept._source_stamp, _digest(_OPS))
    return dispatcher


@cache
def _digest(ops: Path) -> str:
    """A hash of all sources from which kernels are compiled."""
    sources = sorted([*ops.glob('_common/*.py'), *ops.glob('*/numba_kernels.py')])
    return hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()


exact = compiled(**_EXACT)
# For what takes or gives vectors: a call would pass them through memory.
inlined = compiled(**_EXACT, forceinline=True)
