"""How much memory this process holds, held at most and may still take, as the kernel counts it.

The peak is exact on Linux and watched elsewhere.
"""

import ctypes
import gc
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gsm_plugin.control_groups import control_groups

_STATUS, _CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')
_SECONDS_BETWEEN_LOOKS = 0.002
LARGEST_PIECE_KEPT = 2**25
"""The largest piece of freed memory that glibc's allocator keeps, where it has seen large ones."""
# Numbers of glibc's options (malloc.h), and the smallest piece that goes back while memory is measured.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SMALL_PIECE = 2**16
# The kernel's mark is set back by `forget_peak`; what it showed before that is kept here.
_highest = 0


def peak_of_process() -> int:
    """The most bytes that were resident since the process began."""
    return max(_highest, peak_since())


def held_by_process() -> int:
    """The bytes that are resident now."""
    counted = _status('VmRSS')
    return peak_since() if counted is None else counted


def free_of_host() -> tuple[int, str]:
    """Bytes that this process may still take, and what that is: free memory, or what is left of a control group's."""
    free = psutil.virtual_memory().available
    left = min(_left_of_groups(), default=free)
    return (left, 'what is left to its control group') if left < free else (free, 'what is free')


def _left_of_groups() -> Iterator[int]:
    """What the control groups of this process, and those above them, leave it."""
    for group, is_second in control_groups('memory'):
        names = ('max', 'current') if is_second else ('limit_in_bytes', 'usage_in_bytes')
        cache = 'inactive_file' if is_second else 'total_inactive_file'
        try:
            most, used = (int((group / f'memory.{name}').read_text(encoding='utf-8')) for name in names)
            facts = (group / 'memory.stat').read_text(encoding='utf-8').splitlines()
            left = most - used + int(dict(line.split() for line in facts).get(cache, 0))
        except (OSError, ValueError):
            # no such group, or no limit ("max")
            continue
        yield max(0, left)


@contextmanager
def peak_growth() -> Iterator[list[int]]:
    """Measures by how much the process grew at most while the block ran.

    Yields:
        A list whose only number, in bytes, is right after the block. Where the kernel cannot begin its count anew (not
        Linux, or not allowed), a thread looks on, which misses what lasts for less than milliseconds.
    """
    peak = [0]
    # what would be freed meanwhile, or is kept by the allocator, would hide as much of what grows
    gc.collect()
    _give_back()
    before = held_by_process()
    if forget_peak():
        try:
            yield peak
        finally:
            peak[0] = max(0, peak_since() - before)
        return
    highest, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            highest[0] = max(highest[0], held_by_process())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        highest[0] = max(highest[0], held_by_process())
        done.set()
        thread.join()
        peak[0] = highest[0] - before


@contextmanager
def giving_back() -> Iterator[None]:
    """Lets glibc's allocator give every piece of memory back when it is freed, as it does with large ones.

    What small clips take is then in proportion to what large ones do. Afterwards it is as large ones have left it.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform == 'linux' else None
    if set_option is None:
        yield
        return
    try:
        set_option(_MMAP_THRESHOLD, _SMALL_PIECE)
        yield
    finally:
        set_option(_MMAP_THRESHOLD, LARGEST_PIECE_KEPT)
        set_option(_TRIM_THRESHOLD, 2 * LARGEST_PIECE_KEPT)


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


def _give_back() -> None:
    """Lets glibc's allocator give freed memory back, which it keeps where a library has told it to."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None
    if trim is not None:
        trim(0)


def _status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding='utf-8').splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) for line in lines if line.startswith(f'{name}:')]
    return values[0] * 1024 if values else None
