"""Tells how a job goes on: a bar for people, or lines of JSON for programs."""

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

import torch
from torch import Tensor
from tqdm import tqdm

from gsm_plugin.host_memory import peak_of_process
from gsm_plugin.inference.video.byte_sizes import show_bytes
from gsm_plugin.inference.video.windows import Segment

_SECONDS_BETWEEN = 1.0
_MEBI = 2**20


class Progress:
    """Counts frames and the time of stages; subclasses show them.

    Attributes:
        stages: Seconds of each stage.
        lines: What was said.
        frames: Frames that are written.
        total: Frames that are wanted.
        before: Frames that an interrupted run had written.
        listeners: Called with what the network saw and gave; see `Work.on_window`.
    """

    def __init__(self):
        self.stages: dict[str, float] = {}
        self.lines: list[str] = []
        self.frames, self.total, self.before = 0, 0, 0
        self.listeners: list[Callable[[Segment, int, Tensor, Tensor], None]] = []
        self._lock, self._began = threading.Lock(), time.perf_counter()

    def say(self, text: str) -> None:
        """A line for people."""
        self.lines.append(text)
        self.show_line(text)

    def reading(self, frames: int) -> None:
        """So many frames are surveyed."""
        self.show_reading(frames)

    def begin(self, frames: int, done: int) -> None:
        """So many frames are to be written, of which some are."""
        self.frames, self.total, self.before = done, frames, done
        self._began = time.perf_counter()
        if done:
            self.say(f'{done} of {frames} frames are there from an interrupted run')
        self.show_progress()

    def wrote(self, frames: int) -> None:
        """So many more frames are written."""
        with self._lock:
            self.frames += frames
            self.show_progress()

    def stage(self, name: str, seconds: float) -> None:
        """A stage worked so long."""
        with self._lock:
            self.stages[name] = self.stages.get(name, 0) + seconds

    def window(self, segment: Segment, number: int, seen: Tensor, output: Tensor) -> None:
        """What the network saw and what it gave, from a frame on."""
        for listener in self.listeners:
            listener(segment, number, seen, output)

    @property
    def speed(self) -> float:
        """Frames a second since the work began."""
        return (self.frames - self.before) / max(1e-9, time.perf_counter() - self._began)

    def stage_text(self) -> str:
        """Seconds of each stage."""
        return ', '.join(f'{name} {seconds:.1f} s' for name, seconds in sorted(self.stages.items()))

    def end(self) -> None:
        """The job is done or has failed."""

    def show_line(self, text: str) -> None:
        """Shows a line."""

    def show_reading(self, frames: int) -> None:
        """Shows how many frames are surveyed."""

    def show_progress(self) -> None:
        """Shows how many frames are written."""


class Bar(Progress):
    """A bar with frames a second and time left, on the screen."""

    def __init__(self, file: TextIO | None = None):
        super().__init__()
        self._file = file or sys.stderr
        self._bar: tqdm | None = None

    def end(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def show_line(self, text: str) -> None:
        """Shows a line above the bar."""
        tqdm.write(text, file=sys.stdout)

    def show_reading(self, frames: int) -> None:
        """Counts frames of the first reading."""
        if self._bar is None:
            self._bar = tqdm(desc='reading', unit='frame', file=self._file, leave=False)
        self._bar.update(frames - self._bar.n)

    def show_progress(self) -> None:
        """Moves the bar."""
        if self._bar is None or self._bar.total != self.total:
            self.end()
            self._bar = tqdm(
                desc='frames', total=self.total, initial=self.before, unit='frame', file=self._file, leave=False
            )
        self._bar.update(self.frames - self._bar.n)
        if self._bar.n % 25 == 0:
            self._bar.set_postfix_str(peak_memory_text(), refresh=False)


class JsonLines(Progress):
    """A line of JSON a second, and one for everything that is said."""

    def __init__(self, file: TextIO | None = None):
        super().__init__()
        self._file, self._last = file or sys.stdout, -_SECONDS_BETWEEN

    def show_line(self, text: str) -> None:
        """Writes a line."""
        self._write(event='note', text=text)

    def show_reading(self, frames: int) -> None:
        """Writes how many frames are surveyed, once a second."""
        self._now_and_then(event='reading', frames=frames)

    def show_progress(self) -> None:
        """Writes how many frames are written, once a second and at the end."""
        left = (self.total - self.frames) / self.speed if self.speed else None
        facts = {
            'frames': self.frames,
            'total': self.total,
            'fps': round(self.speed, 3),
            'seconds_left': None if left is None else round(left, 1),
            'stage_seconds': {name: round(seconds, 2) for name, seconds in self.stages.items()},
            **peak_memory(),
        }
        self._now_and_then(self.frames == self.total, event='progress', **facts)

    def _now_and_then(self, surely: bool = False, **facts: object) -> None:
        now = time.perf_counter()
        if surely or now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._write(**facts)

    def _write(self, **facts: object) -> None:
        print(json.dumps(facts), file=self._file, flush=True)


def peak_memory() -> dict[str, int]:
    """The most memory that was held so far, in MiB: of the host, and of each GPU that was used."""
    peaks = {'host_mib': peak_of_process() // _MEBI}
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            if held := torch.cuda.max_memory_allocated(number):
                peaks[f'cuda:{number}_mib'] = held // _MEBI
    return peaks


def peak_memory_text() -> str:
    """`peak_memory` in words."""
    return ', '.join(
        f'{name.removesuffix("_mib")} {show_bytes(value * _MEBI)}' for name, value in peak_memory().items()
    )
