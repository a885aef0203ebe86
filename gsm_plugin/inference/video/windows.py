"""Which frames the network sees at once, and which of its outputs are kept."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gsm_plugin.errors import UserError

# Least frames of a film's last window where it is made shorter, and how many times as many the scene's last one has.
_LEAST_LAST, _SEVERAL = 24, 3


@dataclass(frozen=True)
class Window:
    """Frames that the network sees at once.

    Attributes:
        start: First frame that it sees.
        stop: One after the last.
        keep_start: First frame whose output is kept.
        keep_stop: One after the last.
    """

    start: int
    stop: int
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class Segment:
    """Windows that lie next to each other in one scene, whose output is written as one piece.

    Attributes:
        number: Its place in the film.
        scene: Number of its scene.
        windows: In order; what they keep joins without gap.
    """

    number: int
    scene: int
    windows: tuple[Window, ...]

    @property
    def start(self) -> int:
        """First frame that is kept."""
        return self.windows[0].keep_start

    @property
    def stop(self) -> int:
        """One after the last frame that is kept."""
        return self.windows[-1].keep_stop


def plan_windows(start: int, stop: int, length: int, context: int) -> list[Window]:
    """Covers a scene with windows.

    There are as few windows as possible, all of one length, which is as short as so few can be; the last one reaches
    back for that. Where two windows overlap, each frame is taken from the one in which it is further from the end.

    Args:
        start: First frame of the scene.
        stop: One after its last.
        length: Frames of a window at most; a scene that is no longer is one window.
        context: Frames that are seen beyond those that are kept, on both sides.

    Raises:
        UserError: No frame of a window would be kept.
    """
    if stop - start <= length:
        return [Window(start, stop, start, stop)]
    if length <= 2 * context:
        raise UserError(
            f'windows of {length} frames leave none beside a context of {context} on both sides; '
            f'make --window larger than {2 * context}, or --context smaller.'
        )
    count = math.ceil((stop - start - 2 * context) / (length - 2 * context))
    length = math.ceil((stop - start + (count - 1) * 2 * context) / count)
    starts = [*range(start, stop - length, length - 2 * context), stop - length]
    borders = [start, *((a + b + length) // 2 for a, b in itertools.pairwise(starts)), stop]
    return [
        Window(first, first + length, keep, until)
        for first, (keep, until) in zip(starts, itertools.pairwise(borders), strict=True)
    ]


def plan_segments(
    scenes: Sequence[tuple[int, int]], length: int, context: int, segment_frames: int, last: float | None = None
) -> list[Segment]:
    """Covers all scenes with windows and ties them into segments, none of which crosses a cut.

    Args:
        scenes: First frame of each scene and the frame after its last.
        length: Frames of a window.
        context: See `plan_windows`.
        segment_frames: A segment is full when it keeps at least so many frames.
        last: The part of the film's last window that becomes a window of its own, where it keeps many frames, so that
            less is left to encode when the network is done. None leaves it as it is.
    """
    segments: list[Segment] = []
    for scene, (start, stop) in enumerate(scenes):
        windows = plan_windows(start, stop, length, context)
        if last is not None and stop == scenes[-1][1]:
            windows = [*windows[:-1], *_shortened(windows[-1], last, context)]
        held: list[Window] = []
        for window in windows:
            held.append(window)
            if window.keep_stop - held[0].keep_start >= segment_frames or window.keep_stop == stop:
                segments.append(Segment(len(segments), scene, tuple(held)))
                held = []
    return segments


def _shortened(window: Window, last: float, context: int) -> tuple[Window, ...]:
    """A window, or two of which the second one keeps a part of the frames."""
    kept, least = window.keep_stop - window.keep_start, max(_LEAST_LAST, context)
    if kept < _SEVERAL * least:
        return (window,)
    border = window.keep_stop - max(least, round(last * kept))
    seen = replace(window, stop=min(window.stop, border + context), keep_stop=border)
    return seen, replace(window, start=max(window.start, border - context), keep_start=border)
