"""How many frames and pixels the network may see at once within a budget of memory: measured small, predicted large."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from gsm_plugin.compat import UserError
from gsm_plugin.host_memory import peak_growth

Measure = Callable[[int, int, int], int]
"""Bytes that the network takes for frames, rows and columns."""

_UNITS = {'': 1, 'k': 2**10, 'm': 2**20, 'g': 2**30, 't': 2**40}
_PROBE_SIDES, _PROBE_FRAMES = (64, 96), (3, 6)
_TILE_STEP, _LEAST_TILE = 16, 64
# Fragments of the allocator, and what grows a little faster than frames and pixels.
_RESERVE = 1.15
# Pictures on their way to the encoder count besides: bytes a pixel of the output, in float RGB, thrice.
_PER_OUTPUT_PIXEL = 3 * 3 * 4


@dataclass(frozen=True)
class Cost:
    """What a network takes: `fixed + per_value * frames * rows * columns`, in bytes."""

    fixed: float
    per_value: float

    def predict(self, frames: int, height: int, width: int) -> int:
        """Bytes for frames of a size."""
        return round((self.fixed + self.per_value * frames * height * width) * _RESERVE)


@dataclass(frozen=True)
class MemoryPlan:
    """What the network sees at once, and why.

    Attributes:
        window: Frames.
        tile: Side of tiles in pixels of the input; None for whole frames.
        predicted: Bytes that this is expected to take.
        budget: Bytes that it may take.
    """

    window: int
    tile: int | None
    predicted: int
    budget: int

    def describe(self) -> str:
        """The plan in a line."""
        seen = 'whole frames' if self.tile is None else f'tiles of {self.tile}x{self.tile}'
        return (
            f'memory: windows of {self.window} frames, {seen}: {show_bytes(self.predicted)} predicted of '
            f'{show_bytes(self.budget)}'
        )


def read_bytes(text: str) -> int:
    """Bytes of `8GiB`, `8G`, `500MiB`.

    Raises:
        UserError: It is no size.
    """
    match = re.fullmatch(r'(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?', text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise UserError(f'--memory is {text!r}; write, for example, 8GiB or 500MiB.')
    return round(float(match[1]) * _UNITS[match[2]])


def show_bytes(number: float) -> str:
    """`1.5 GiB` or `300 MiB`."""
    return f'{number / 2**30:.2f} GiB' if number >= 2**30 else f'{number / 2**20:.0f} MiB'


def learn_cost(measure: Measure, scale: int) -> Cost:
    """Measures a network on small clips.

    Args:
        measure: Runs it and tells its peak.
        scale: Its enlargement.
    """
    (short, small), (long, large) = zip(_PROBE_FRAMES, _PROBE_SIDES, strict=True)
    measure(short, small, small)
    first, second = measure(short, small, small), measure(long, large, large)
    values = short * small**2, long * large**2
    slope = max(0.0, (second - first) / (values[1] - values[0]))
    return Cost(max(0.0, first - slope * values[0]), slope + scale**2 * _PER_OUTPUT_PIXEL)


def plan_memory(cost: Cost, size: tuple[int, int], window: int, context: int, budget: int) -> MemoryPlan:
    """Takes the longest window of whole frames that fits, and tiles where none does.

    Args:
        cost: What the network takes.
        size: Rows and columns of a frame.
        window: Frames of a window at most.
        context: See `plan_windows`.
        budget: Bytes.

    Raises:
        UserError: Not even the smallest tile of the shortest window fits.
    """
    height, width = size
    least = min(window, 3 * context + 1)
    for frames in range(window, least - 1, -1):
        if cost.predict(frames, height, width) <= budget:
            return MemoryPlan(frames, None, cost.predict(frames, height, width), budget)
    largest = max(height, width) // _TILE_STEP * _TILE_STEP
    for side in range(largest, _LEAST_TILE - 1, -_TILE_STEP):
        predicted = cost.predict(least, min(side, height), min(side, width))
        if predicted <= budget:
            return MemoryPlan(least, side, predicted, budget)
    needed = cost.predict(least, min(_LEAST_TILE, height), min(_LEAST_TILE, width))
    raise UserError(
        f'{show_bytes(budget)} is too little: windows of {least} frames in tiles of {_LEAST_TILE} take '
        f'{show_bytes(needed)}; give more --memory, or a smaller --context.'
    )


def measured_on(network: object) -> Measure:
    """How a network's memory is measured: on a GPU what PyTorch holds, else what the process grows by."""

    def measure(frames: int, height: int, width: int) -> int:
        clip = torch.rand(1, frames, 3, height, width).to(network.device)
        with peak_of(network.device) as peak, torch.inference_mode():
            network.restore(clip)
        return peak[0]

    return measure


@contextmanager
def peak_of(device: object) -> Iterator[list[int]]:
    """The most bytes that were held while the block ran: all of PyTorch's on a GPU, growth of the process else."""
    device = torch.device(str(device))
    if device.type == 'cuda':
        peak = [0]
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        torch.cuda.synchronize(device)
        peak[0] = torch.cuda.max_memory_allocated(device)
        return
    with peak_growth() as peak:
        yield peak


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up, on a GPU or the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and 'allocate memory' in str(error)
