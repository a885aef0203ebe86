"""How many frames and pixels the network may see at once within budgets of memory: measured small, predicted large."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.host_memory import LARGEST_PIECE_KEPT, free_of_host, giving_back, peak_growth
from gsm_plugin.inference.video.byte_sizes import enough_bytes, show_bytes
from gsm_plugin.inference.video.pipeline_memory import PIXELS_OF_GPU

if TYPE_CHECKING:
    from gsm_plugin.inference.video.pipeline import Network

Measure = Callable[[int, int, int], int]
"""Bytes that the network takes for frames, rows and columns."""

# A few frames and twice as many, a side and a longer one. On a GPU large enough for work to be more than overhead, and
# of so many frames that what is done with a few at a time does not grow with them.
_PROBES, _PROBES_OF_GPU = ((4, 8), (64, 96)), ((16, 32), (96, 192))
TILE_STEP, LEAST_TILE = 32, 64
"""Sides of tiles that memory demands are multiples of the first, from the second up; so is what they overlap by. Flow
networks halve frames five times, and tiles that begin between these places give other flows than the frame."""

_MOST_OVERLAP, _LARGE_TILES = 64, (256, 128)
# Of what is free now, as much as the network may have; the rest is for others, and for what comes and goes.
_SHARE_OF_HOST, _SHARE_OF_GPU = 0.8, 0.9
# Fragments of the allocator, and what grows a little faster than frames and pixels.
_RESERVE = 1.15
# On a GPU, bytes of a pixel of the output: in float RGB; of what is made of a few frames on their way to the encoder;
# and where a tile is weighed, as RGB twice and its weight. On a CPU they are in what the host holds.
_RGB, _CONVERTED, _WEIGHED = 12, 48, 28
# The network is slower by tiles than by whole frames, by more than what it sees twice.
_SLOWER_BY_TILES = 1.5
# Of what is freed on a CPU; small clips are measured without it.
_KEPT_BY_ALLOCATOR = 3 * LARGEST_PIECE_KEPT // 2


@dataclass(frozen=True)
class Cost:
    """What a network takes, in bytes.

    Attributes:
        fixed: Whatever it sees.
        per_pixel: For each pixel of a frame, however many frames there are: what it does with a few frames at a time.
        per_value: For each pixel of each frame.
    """

    fixed: float
    per_pixel: float
    per_value: float

    def predict(self, frames: int, height: int, width: int) -> int:
        """Bytes for frames of a size."""
        return round((self.fixed + (self.per_pixel + self.per_value * frames) * height * width) * _RESERVE)


@dataclass(frozen=True)
class Place:
    """Where memory is taken.

    Attributes:
        name: What people call it.
        predict: Bytes that frames, rows and columns of a window or tile take there.
        budget: Bytes that may be taken.
        why: Why so many.
        asked: Whether the user said so.
    """

    name: str
    predict: Measure
    budget: int
    why: str
    asked: bool = False

    def holds(self, frames: int, height: int, width: int) -> bool:
        """Whether a window or tile fits."""
        return self.predict(frames, height, width) <= self.budget

    def describe(self, frames: int, height: int, width: int) -> str:
        """What is predicted, of how much, and why."""
        predicted = show_bytes(self.predict(frames, height, width))
        return f'{self.name} {predicted} predicted of {show_bytes(self.budget)} ({self.why})'


@dataclass(frozen=True)
class MemoryPlan:
    """What the network sees at once, and why.

    Attributes:
        window: Frames.
        tile: Side of tiles in pixels of the input; None for whole frames.
        seen: Frames, rows and columns that the network sees at once.
        places: Where memory is taken; the first one is the network's.
    """

    window: int
    tile: int | None
    seen: tuple[int, int, int]
    places: tuple[Place, ...]

    @property
    def predicted(self) -> int:
        """Bytes that the network is expected to take."""
        return self.places[0].predict(*self.seen)

    @property
    def budget(self) -> int:
        """Bytes that the network may take."""
        return self.places[0].budget

    def describe(self) -> str:
        """The plan in a line."""
        shown = 'whole frames' if self.tile is None else f'tiles of {self.tile}x{self.tile}'
        places = ', '.join(place.describe(*self.seen) for place in self.places)
        return f'memory: windows of {self.window} frames, {shown}: {places}'


def free_on(device: object) -> tuple[int, str]:
    """Bytes that a network may take on a device without a word of the user, and why so many."""
    device = torch.device(str(device))
    if device.type == 'cuda':
        free = torch.cuda.mem_get_info(device)[0]
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free * _SHARE_OF_GPU), f'{_SHARE_OF_GPU:.0%} of what is free on {device}'
    free, what = free_of_host()
    return int(free * _SHARE_OF_HOST), f'{_SHARE_OF_HOST:.0%} of {what}'


def learn_cost(measure: Measure, device: object = 'cpu') -> Cost:
    """Measures a network on small clips.

    Args:
        measure: Runs it and tells its peak.
        device: Where it runs, which decides how small clips may be.
    """
    on_gpu = torch.device(str(device)).type == 'cuda'
    (short, long), (small, large) = _PROBES_OF_GPU if on_gpu else _PROBES
    measure(short, small, small)
    first, longer = measure(short, small, small), measure(long, small, small)
    larger = measure(short, large, large)
    per_value = max(0.0, (longer - first) / ((long - short) * small**2))
    per_pixel = max(0.0, (larger - first) / (large**2 - small**2) - short * per_value)
    fixed = max(0.0, first - (per_pixel + short * per_value) * small**2)
    return Cost(fixed if on_gpu else fixed + _KEPT_BY_ALLOCATOR, per_pixel, per_value)


def with_output(cost: Cost, scale: int, size: tuple[int, int]) -> Measure:
    """What a network takes on a GPU, with what is done there with its output.

    Args:
        cost: Of the network.
        scale: Its enlargement.
        size: Rows and columns of a whole frame; anything smaller is a tile.
    """

    def predict(frames: int, height: int, width: int) -> int:
        pixels = frames * height * width * scale**2
        if (height, width) != size:
            return cost.predict(frames, height, width) + round(pixels * _WEIGHED * _RESERVE)
        # when the network is done, its output is left
        after = pixels * _RGB + min(pixels, PIXELS_OF_GPU) * _CONVERTED
        return max(cost.predict(frames, height, width), round(after * _RESERVE))

    return predict


def is_measured_by(frames: float, height: int, width: int) -> bool:
    """Whether windows of whole frames are no larger than what a network is measured on, on a CPU."""
    (_, long), (small, _) = _PROBES
    return frames * height * width <= long * small**2


def plan_memory(
    places: Sequence[Place], size: tuple[int, int], window: int, context: int, tile: int | None = None
) -> MemoryPlan:
    """Takes the window of whole frames, or of tiles, that fits everywhere and by which the network sees least twice.

    Short windows overlap by more of their frames, small tiles by more of their pixels. Whole frames are liked better,
    as long as tiles would not be much less work. Tiles in which a flow network sees little are taken only where
    nothing larger fits.

    Args:
        places: Where memory is taken; the first one is the network's.
        size: Rows and columns of a frame.
        window: Frames of a window at most.
        context: See `plan_windows`.
        tile: Side of tiles that are not to be changed; None for whole frames, or tiles where memory demands them.

    Raises:
        UserError: Not even the smallest tile of the shortest window fits.
    """
    places = tuple(places)
    least = min(window, 3 * context + 1)
    largest = max(size) // TILE_STEP * TILE_STEP
    lengths = range(window, least - 1, -1)
    choices: list[tuple[int, int | None]] = [(frames, tile) for frames in lengths]
    if tile is None:
        choices += product(lengths, range(largest, LEAST_TILE - 1, -TILE_STEP))
        choices.sort(key=lambda one: _cost_of(one[0], one[1], size, window, context))
    height, width = size
    for frames, side in choices:
        seen = frames, min(side or height, height), min(side or width, width)
        if _hold(places, seen[0], seen[1:]):
            return MemoryPlan(frames, side, seen, places)
    last = tile or LEAST_TILE
    raise UserError(_too_little(places, size, window, context, (min(last, height), min(last, width))))


def overlap_of_tiles(side: int) -> int:
    """By how many pixels tiles overlap that memory demands."""
    return min(_MOST_OVERLAP, side // 2 // TILE_STEP * TILE_STEP)


def seen_in_tiles(tile: Sequence[int], overlap: Sequence[int], size: Sequence[int]) -> float:
    """How many pixels the network sees in tiles, for each one of a frame.

    Args:
        tile: Rows and columns of a tile.
        overlap: By how many of each tiles overlap.
        size: Rows and columns of the frame.
    """
    seen = 1.0
    for side, shared, length in zip(tile, overlap, size, strict=True):
        seen *= (1 + max(0, math.ceil((length - side) / (side - shared)))) * min(side, length) / length
    return seen


def _cost_of(frames: int, side: int | None, size: tuple[int, int], window: int, context: int) -> tuple[int, float]:
    """How much too small tiles are, then how much work there is for each pixel that is taken from the network."""
    seen = 1.0 if frames == window else frames / (frames - 2 * context)
    if side is None or side >= max(size):
        return 0, seen
    overlap = overlap_of_tiles(side)
    seen *= seen_in_tiles((side, side), (overlap, overlap), size)
    return sum(side < large for large in _LARGE_TILES), seen * _SLOWER_BY_TILES


def _too_little(
    places: Sequence[Place], size: tuple[int, int], window: int, context: int, smallest: tuple[int, int]
) -> str:
    """What the shortest windows of the smallest tiles lack, and what would let them fit."""
    least = min(window, 3 * context + 1)
    lacking = [place for place in places if not place.holds(least, *smallest)]
    fewest = f' (the fewest with --context {context})' if least < window else ''
    tiles = '' if smallest == size else f' in tiles of {smallest[1]}x{smallest[0]}'
    needs = ', '.join(place.describe(least, *smallest) for place in lacking)
    # of what was asked for a little more, since no two measurements are alike
    cures = [f'give --memory {enough_bytes(one.predict(least, *smallest) * 1.1)}' for one in lacking if one.asked]
    cures += ['free some memory'] if not all(place.asked for place in lacking) else []
    others = (fewer for fewer in range((least - 2) // 3, -1, -1) if _hold(places, 3 * fewer + 1, smallest))
    instead = [f'--context {fewer}' for fewer in islice(others, 1)]
    if places[0] not in lacking:
        # what is written takes it, and not what the network sees
        instead.append('a smaller -s')
    cure = ' and '.join(cures) + (f', or give {" or ".join(instead)}' if instead else '')
    return (
        f'Memory is too little for frames of {size[1]}x{size[0]}, even by windows of {least} frames{fewest}{tiles}: '
        f'{needs}; {cure}.'
    )


def _hold(places: Sequence[Place], frames: int, size: tuple[int, int]) -> bool:
    return all(place.holds(frames, *size) for place in places)


def measured_on(network: Network) -> Measure:
    """How a network's memory is measured: on a GPU what PyTorch holds, else what the process grows by."""

    def measure(frames: int, height: int, width: int) -> int:
        try:
            clip = torch.rand(1, frames, 3, height, width).to(network.device)
            with giving_back(), peak_of(network.device) as peak, torch.inference_mode():
                network.restore(clip)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f'{network.device} has too little memory even to measure {network.name} on {frames} frames of '
                f'{width}x{height}; free some, or give another --device.'
            ) from error
        return peak[0]

    return measure


class TimedMeasure:
    """A measure that looks at the clock.

    Args:
        measure: What it calls.

    Attributes:
        seconds_a_pixel: What a pixel of a frame of the last clip took; 0 before there was one.
    """

    def __init__(self, measure: Measure):
        self._measure, self.seconds_a_pixel = measure, 0.0

    def __call__(self, frames: int, height: int, width: int) -> int:
        """Measures."""
        began = time.perf_counter()
        taken = self._measure(frames, height, width)
        self.seconds_a_pixel = (time.perf_counter() - began) / (frames * height * width)
        return taken


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
