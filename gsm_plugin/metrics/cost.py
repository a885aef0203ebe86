"""Time and peak memory of a piece of work, or of a call that is repeated, on a GPU or on the CPU."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from gsm_plugin.host_memory import forget_peak, peak_since


@dataclass
class Cost:
    """Filled when the work is done.

    Attributes:
        seconds: Wall clock, the GPU's work included.
        peak_gib: Most memory in use meanwhile, GiB: allocated on the GPU, or resident of the whole process on the CPU.
    """

    seconds: float = 0.0
    peak_gib: float | None = None


@dataclass(frozen=True)
class Timing:
    """What repeated calls cost.

    Attributes:
        median: Seconds.
        fastest: Seconds.
        slowest: Seconds.
        repeats: Number of timed calls.
        peak_gib: Peak memory on the GPU, GiB, during the calls and those before them, which alone allocate what CUDA
            graphs use; None on the CPU.
    """

    median: float
    fastest: float
    slowest: float
    repeats: int
    peak_gib: float | None


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measures what is done inside."""
    cost = Cost()
    on_gpu = device.type == 'cuda'
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        forget_peak()
    start = time.perf_counter()
    yield cost
    if on_gpu:
        torch.cuda.synchronize(device)
    cost.seconds = time.perf_counter() - start
    cost.peak_gib = (torch.cuda.max_memory_allocated(device) if on_gpu else peak_since()) / 2**30


def time_calls(
    call: Callable[[], object],
    device: str,
    repeats: int = 5,
    warmups: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Times a call: device events on a GPU, the clock on a CPU.

    Args:
        call: What is timed; its result is dropped.
        device: `cuda` or `cpu`.
        repeats: Timed calls.
        warmups: Calls before them, for compilation, caches and clocks.
        clock: What tells the seconds on a CPU; `time.process_time` leaves out what other programs take.
    """
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
    for _ in range(warmups):
        call()
    if device == 'cpu':
        return _timing([_clock(call, clock) for _ in range(repeats)], None)
    torch.cuda.synchronize()
    seconds = [_events(call) for _ in range(repeats)]
    return _timing(seconds, torch.cuda.max_memory_allocated() / 2**30)


def _timing(seconds: list[float], peak_gib: float | None) -> Timing:
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds), peak_gib)


def _clock(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def _events(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3
