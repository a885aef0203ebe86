"""Scenes of a film: the frames between two cuts, found by PySceneDetect while the film is read once."""

import itertools
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
    """

    def __init__(self, threshold: float = DEFAULT_THRESHOLD):
        self._detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=1)
        # It looks at so many frames around a cut, which would hide one close to either end.
        self._border = self._detector.event_buffer_length
        self._seen, self._frames = 0, 0
        self._last: np.ndarray | None = None
        self._cuts: list[int] = []

    def add(self, frame: np.ndarray) -> None:
        """Takes the next frame, (h, w, 3), uint8, BGR."""
        small = shrink(frame)
        for _ in range(1 if self._frames else self._border + 1):
            self._process(small)
        self._frames, self._last = self._frames + 1, small

    def scenes(self) -> list[tuple[int, int]]:
        """Ends the search: first frame of each scene and the frame after its last."""
        if self._last is not None:
            for _ in range(self._border):
                self._process(self._last)
        return between([cut for cut in self._cuts if cut < self._frames], self._frames)

    def _process(self, frame: np.ndarray) -> None:
        found = self._detector.process_frame(FrameTimecode(self._seen, 1.0), frame)
        self._cuts += [cut.frame_num - self._border for cut in found]
        self._seen += 1


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
