"""Scenes of a film: the frames between two cuts, found by PySceneDetect while the film is read once."""

import itertools
from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from gsm_plugin.inference.video.cuts import DEFAULT_THRESHOLD

# Cuts show in small frames as well; PySceneDetect's own width.
_WIDTH = 256


class CutFinder:
    """Finds cuts while frames come in.

    A cut is where colour and brightness change by `threshold` times as much as between the frames around it, so that
    fast motion is none. Dissolves are not found, and fades rarely: where they take a few frames, or where the hue
    of what is nearly black jumps, in films without noise.

    Args:
        threshold: How many times as much; lower finds more cuts.

    Attributes:
        frames: How many came in.
    """

    def __init__(self, threshold: float = DEFAULT_THRESHOLD):
        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=1)
        # It looks at so many frames around a cut, which would hide one close to either end.
        self._border = self._detector.event_buffer_length
        self._threshold = threshold
        self._seen = self.frames = 0
        # enough of either end to see what changes around a cut there
        self._first: dict[int, np.ndarray] = {}
        self._last: deque[np.ndarray] = deque(maxlen=2 * self._border + 1)
        self._cuts: list[int] = []

    def add(self, frame: np.ndarray) -> None:
        """Takes the next frame, (h, w, 3), uint8, BGR."""
        small = shrink(frame)
        for _ in range(1 if self.frames else self._border + 1):
            self._process(small)
        if self.frames <= 2 * self._border:
            self._first[self.frames] = small
        self._last.append(small)
        self.frames += 1

    def cuts(self) -> list[int]:
        """Ends the search: the first frame of each scene but the first one."""
        for _ in range(self._border if self.frames else 0):
            self._process(self._last[-1])
        held = {**self._first, **{self.frames - len(self._last) + i: frame for i, frame in enumerate(self._last)}}
        inner = range(self._border + 1, self.frames - self._border)
        return [cut for cut in self._cuts if 0 < cut < self.frames and (cut in inner or self._stands_out(cut, held))]

    def scenes(self) -> list[tuple[int, int]]:
        """Ends the search: first frame of each scene and the frame after its last."""
        return between(self.cuts(), self.frames)

    def _stands_out(self, cut: int, frames: dict[int, np.ndarray]) -> bool:
        """Whether a cut near an end is one among changes of the film alone: the frames put there do not change."""
        around = range(max(1, cut - self._border), min(self.frames - 1, cut + self._border) + 1)
        others = [_change(frames[place - 1], frames[place]) for place in around if place != cut]
        return bool(others) and _change(frames[cut - 1], frames[cut]) >= self._threshold * np.mean(others)

    def _process(self, frame: np.ndarray) -> None:
        found = self._detector.process_frame(FrameTimecode(self._seen, 1.0), frame)
        self._cuts += [cut.frame_num - self._border for cut in found]
        self._seen += 1


def _change(first: np.ndarray, second: np.ndarray) -> float:
    """By how much a frame differs from the one before, as the detector has it: in hue, saturation and brightness."""
    before, after = (cv2.cvtColor(frame, cv2.COLOR_BGR2HSV).astype(np.int32) for frame in (first, second))
    return float(np.abs(after - before).mean())


def between(cuts: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """The scenes that cuts make of a film: first frame of each and the frame after its last."""
    if not frames:
        return []
    borders = sorted({0, frames, *(cut for cut in cuts if 0 < cut < frames)})
    return list(itertools.pairwise(borders))


def shrink(frame: np.ndarray) -> np.ndarray:
    """Makes a frame as small as the search for cuts needs it."""
    height, width = frame.shape[:2]
    if width <= _WIDTH:
        return frame
    return cv2.resize(frame, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
