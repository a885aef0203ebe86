"""Tells how a job goes on: a bar for a terminal, lines for a file, lines of JSON for programs."""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import torch
from torch import Tensor
from tqdm import tqdm

from gsm_plugin.host_memory import peak_of_process
from gsm_plugin.inference.video.byte_sizes import show_bytes
from gsm_plugin.inference.video.pace import Pace
from gsm_plugin.inference.video.timing import show_time
from gsm_plugin.inference.video.windows import Segment

_SECONDS_BETWEEN_MOVES, _SECONDS_BETWEEN, _SECONDS_BETWEEN_LINES = 0.1, 1.0, 30.0
_MEBI = 2**20


class Progress:
    """Counts frames and the time of windows and stages; subclasses show them.

    Args:
        clock: Tells seconds.

    Attributes:
        stages: Seconds of each stage.
        lines: What was said.
        frames: Frames that are written.
        total: Frames that are wanted.
        before: Frames that an interrupted run had written.
        listeners: Called with what the network saw and gave; see `Work.on_window`.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.stages: dict[str, float] = {}
        self.lines: list[str] = []
        self.frames, self.total, self.before = 0, 0, 0
        self.listeners: list[Callable[[Segment, int, Tensor, Tensor], None]] = []
        self._lock, self._clock, self._began = threading.RLock(), clock, clock()
        self._guess: float | None = None
        self._pace = Pace((), self._began)
        # of each thread that runs a network: when its window began, frames of it, and the part of the network
        self._windows: dict[int, tuple[float, int]] = {}
        self._part = ''
        self._ticker: _Ticker | None = None

    def say(self, text: str) -> None:
        """A line for people."""
        self.lines.append(text)
        self.show_line(text)

    def reading(self, frames: int) -> None:
        """So many frames are surveyed."""
        self.show_reading(frames)

    def expect(self, seconds_a_frame: float | None) -> None:
        """What a frame of a window may take, by a small measurement; None where there is none."""
        self._guess = seconds_a_frame

    def begin(self, frames: int, done: int, windows: Sequence[int]) -> None:
        """So many frames are to be written, of which some are; the network is to see so many frames in each window."""
        self._stop_ticking()
        self.frames, self.total, self.before = done, frames, done
        self._began = self._clock()
        self._pace, self._windows, self._part = Pace(windows, self._began, self._guess), {}, ''
        if done:
            self.say(f'{done} of {frames} frames are there from an interrupted run')
        self._tell()
        self._ticker = _Ticker(self._tell)

    def window_begins(self, frames: int) -> None:
        """The network of this thread begins with a window of so many frames."""
        with self._lock:
            self._windows[threading.get_ident()] = self._clock(), frames

    def part(self, text: str) -> None:
        """A part of a network has done something."""
        self._part = text

    def window_ends(self, frames: int) -> None:
        """The network of this thread is done with its window of so many frames."""
        with self._lock:
            del self._windows[threading.get_ident()]
            self._pace.end_window(frames, self._clock())
            self._part = ''

    def wrote(self, frames: int) -> None:
        """So many more frames are written."""
        with self._lock:
            self.frames += frames
            self._tell()

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
        return (self.frames - self.before) / max(1e-9, self._clock() - self._began)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the network is done; None where they are not known yet."""
        return self._pace.seconds_left(self._clock())

    def window_now(self) -> dict[str, Any]:
        """The window that the network has seen longest: number, of how many, seconds, expected seconds, part."""
        if not self._windows:
            return {}
        since, frames = min(self._windows.values())
        pace = self._pace.seconds_a_frame
        return {
            'number': self._pace.done + 1,
            'of': self._pace.windows,
            'seconds': round(self._clock() - since, 1),
            # devices share the windows, and the pace is that of all
            'expected_seconds': None if pace is None else round(pace * frames * len(self._windows), 1),
            'part': self._part,
        }

    def stage_text(self) -> str:
        """Seconds of each stage."""
        return ', '.join(f'{name} {seconds:.1f} s' for name, seconds in sorted(self.stages.items()))

    def work_text(self) -> str:
        """Where the work is, and how long it still takes, in words."""
        words = []
        if now := self.window_now():
            expected = now['expected_seconds']
            of = '' if expected is None else f' of about {_whole(expected)}'
            part = f' ({now["part"]})' if now['part'] else ''
            words.append(f'window {now["number"]}/{now["of"]}: {_whole(now["seconds"])}{of}{part}')
        if left := self.seconds_left:
            words.append(f'about {_whole(left)} left')
        return ', '.join(words)

    def end(self) -> None:
        """The job is done or has failed."""
        self._stop_ticking()

    def show_line(self, text: str) -> None:
        """Shows a line."""

    def show_reading(self, frames: int) -> None:
        """Shows how many frames are surveyed."""

    def show_progress(self) -> None:
        """Shows how far the work is; called when frames are written, and once a second."""

    def _tell(self) -> None:
        with self._lock:
            self.show_progress()

    def _stop_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None


def _whole(seconds: float) -> str:
    return f'{seconds:.0f} s' if seconds < 59.5 else show_time(round(seconds))


class _Ticker:
    """Calls a function once a second in a thread of its own, for a window may take minutes."""

    def __init__(self, tick: Callable[[], None]):
        self._tick, self._stopped = tick, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS_BETWEEN):
            self._tick()


class Bar(Progress):
    """A bar for a terminal, with what the network does and the time left."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.perf_counter):
        super().__init__(clock)
        self._file, self._is_time = file or sys.stderr, _NowAndThen(_SECONDS_BETWEEN_MOVES, clock)
        self._bar: tqdm | None = None

    def end(self) -> None:
        """Takes the bar away."""
        super().end()
        self._close()

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
            self._close()
        elif not self._is_time():
            return
        if self._bar is None:
            self._bar = tqdm(
                desc='frames',
                total=self.total,
                file=self._file,
                leave=False,
                bar_format='{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]',
            )
        speed = f'{self.speed:.3g} fps' if self.frames > self.before else ''
        self._bar.n = self.frames
        self._bar.set_postfix_str(', '.join(filter(None, [speed, self.work_text(), peak_memory_text()])), refresh=False)
        self._bar.refresh()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _NowAndThen:
    """Tells whether so many seconds have gone by."""

    def __init__(self, seconds: float, clock: Callable[[], float]):
        self._seconds, self._clock, self._last = seconds, clock, clock()

    def __call__(self) -> bool:
        if self._clock() - self._last < self._seconds:
            return False
        self._last = self._clock()
        return True


class Lines(Progress):
    """A line twice a minute, for files and pipes."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.perf_counter):
        super().__init__(clock)
        self._file, self._is_time = file or sys.stderr, _NowAndThen(_SECONDS_BETWEEN_LINES, clock)

    def show_line(self, text: str) -> None:
        """Shows a line."""
        print(text, flush=True)

    def show_reading(self, frames: int) -> None:
        """Tells frames of the first reading."""
        if self._is_time():
            print(f'reading: frame {frames}', file=self._file, flush=True)

    def show_progress(self) -> None:
        """Tells how far the work is."""
        if self._is_time():
            words = [f'{self.frames}/{self.total} frames', f'{self.speed:.3g} fps', self.work_text()]
            print(', '.join(filter(None, words)), file=self._file, flush=True)


class JsonLines(Progress):
    """A line of JSON a second, and one for everything that is said."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.perf_counter):
        super().__init__(clock)
        self._file, self._is_time = file or sys.stdout, _NowAndThen(_SECONDS_BETWEEN, clock)

    def show_line(self, text: str) -> None:
        """Writes a line."""
        self._write(event='note', text=text)

    def show_reading(self, frames: int) -> None:
        """Writes how many frames are surveyed, once a second."""
        if self._is_time():
            self._write(event='reading', frames=frames)

    def show_progress(self) -> None:
        """Writes how far the work is, once a second and when all frames are written."""
        if not self._is_time() and self.frames != self.total:
            return
        left = self.seconds_left
        self._write(
            event='progress',
            frames=self.frames,
            total=self.total,
            fps=round(self.speed, 3),
            seconds_left=None if left is None else round(left, 1),
            window=self.window_now(),
            stage_seconds={name: round(seconds, 2) for name, seconds in self.stages.items()},
            **peak_memory(),
        )

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
