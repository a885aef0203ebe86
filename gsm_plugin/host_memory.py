"""How much memory this process holds and held at most, as the kernel counts it: exact on Linux, watched elsewhere."""

import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS, _CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')
_SECONDS_BETWEEN_LOOKS = 0.002
# The kernel's mark is set back by `forget_peak`; what it showed before that is kept here.
_highest = 0


def peak_of_process() -> int:
    """The most bytes that were resident since the process began."""
    return max(_highest, peak_since())


@contextmanager
def peak_growth() -> Iterator[list[int]]:
    """Measures by how much the process grew at most while the block ran.

    Yields:
        A list whose only number, in bytes, is right after the block. Where the kernel cannot begin its count anew (not
        Linux, or not allowed), a thread looks on, which misses what lasts for less than milliseconds.
    """
    peak = [0]
    before = _resident()
    if forget_peak():
        try:
            yield peak
        finally:
            peak[0] = max(0, peak_since() - before)
        return
    highest, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            highest[0] = max(highest[0], _resident())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        highest[0] = max(highest[0], _resident())
        done.set()
        thread.join()
        peak[0] = highest[0] - before


def forget_peak() -> bool:
    """Begins the count of `peak_since` anew; False where the kernel cannot and goes on counting."""
    global _highest
    _highest = max(_highest, peak_since())
    try:
        _CLEAR.write_text('5', encoding='utf-8')
    except OSError:
        return False
    return True


def peak_since() -> int:
    """The most bytes that were resident since `forget_peak`."""
    counted = _status('VmHWM')
    if counted is not None:
        return counted
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resident() -> int:
    counted = _status('VmRSS')
    return peak_since() if counted is None else counted


def _status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding='utf-8').splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) for line in lines if line.startswith(f'{name}:')]
    return values[0] * 1024 if values else None
