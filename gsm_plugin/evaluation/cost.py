"""Time and peak memory of a piece of work, on a GPU or on the CPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

_STATUS, _CLEAR = Path('/proc/self/status'), Path('/proc/self/clear_refs')


@dataclass
class Cost:
    """Filled when the work is done.

    Attributes:
        seconds: Wall clock, the GPU's work included.
        peak_gib: Most memory in use meanwhile, GiB: allocated on the GPU, or resident of the whole process on the CPU;
            None where the system does not tell.
    """

    seconds: float = 0.0
    peak_gib: float | None = None


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measures what is done inside."""
    cost = Cost()
    on_gpu = device.type == 'cuda'
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _forget_peak()
    start = time.perf_counter()
    yield cost
    if on_gpu:
        torch.cuda.synchronize(device)
    cost.seconds = time.perf_counter() - start
    cost.peak_gib = torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else _peak_of_process()


def _forget_peak() -> None:
    try:
        _CLEAR.write_text('5')
    except OSError:
        # Not Linux, or not allowed: the peak is then that of the process so far.
        return


def _peak_of_process() -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in lines if line.startswith('VmHWM:')]
    return kib[0] / 2**20 if kib else None
