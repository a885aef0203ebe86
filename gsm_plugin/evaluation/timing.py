"""Time and peak memory of a call, and where the figures come from."""

import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ('torch', 'triton', 'basicsr', 'mamba-ssm', 'numpy', 'opencv-python', 'lpips', 'DISTS-pytorch')


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


def measure(call: Callable[[], object], device: str, repeats: int = 5, warmups: int = 2) -> Timing:
    """Times a call: device events on a GPU, the clock on a CPU.

    Args:
        call: What is timed; its result is dropped.
        device: `cuda` or `cpu`.
        repeats: Timed calls.
        warmups: Calls before them, for compilation, caches and clocks.
    """
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
    for _ in range(warmups):
        call()
    if device == 'cpu':
        return _timing([_clock(call) for _ in range(repeats)], None)
    torch.cuda.synchronize()
    seconds = [_events(call) for _ in range(repeats)]
    return _timing(seconds, torch.cuda.max_memory_allocated() / 2**30)


def provenance(root: str | Path) -> dict[str, object]:
    """Tells what a measurement was made with: commit of the checkout at `root`, device, versions.

    Returns:
        A dictionary that can be written as JSON.
    """
    cuda = torch.cuda.is_available()
    return {
        'commit': _commit(Path(root)),
        'device': torch.cuda.get_device_name() if cuda else _processor(),
        'cuda': torch.version.cuda if cuda else None,
        'python': platform.python_version(),
        'packages': {name: _version(name) for name in _PACKAGES},
    }


def as_dict(timing: Timing) -> dict[str, object]:
    """A timing as JSON takes it."""
    return asdict(timing)


def _timing(seconds: list[float], peak_gib: float | None) -> Timing:
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds), peak_gib)


def _clock(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _events(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def _commit(root: Path) -> str:
    result = subprocess.run(['git', '-C', str(root), 'describe', '--always', '--dirty'], capture_output=True, text=True)
    return result.stdout.strip() or 'unknown'


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return f'{models[0]}, {len(models)} cores' if models else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
