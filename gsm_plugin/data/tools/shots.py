"""Shots of a video: the frames between two cuts, found by PySceneDetect."""

import itertools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

# Cuts show in small frames as well; PySceneDetect's own width.
_WIDTH = 256


def find_shots(frames: Iterable[np.ndarray], threshold: float = 3.0) -> list[tuple[int, int]]:
    """Finds the shots of a video by the content of its frames.

    A cut is where colour and brightness change by `threshold` times as much as between the frames around it
    (`AdaptiveDetector`), so that fast motion is none; fades and dissolves are not found.

    Args:
        frames: All frames, (h, w, 3), uint8, BGR.
        threshold: How many times as much; lower finds more cuts.

    Returns:
        First frame of each shot and the frame after its last.
    """
    detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=1)
    # It looks at so many frames around a cut, which would hide one close to either end.
    border = detector.event_buffer_length
    cuts, count = [0], 0
    for count, frame in enumerate(_with_ends_repeated(frames, border), 1):
        found = detector.process_frame(FrameTimecode(count - 1, 1.0), frame)
        cuts += [cut.frame_num - border for cut in found]
    cuts.append(max(count - 2 * border, 0))
    return [(start, stop) for start, stop in itertools.pairwise(cuts) if stop > start]


def cut_shots(shots: list[tuple[int, int]], min_frames: int, max_frames: int) -> list[tuple[int, int]]:
    """Cuts shots into clips of at most `max_frames`, and leaves out what is shorter than `min_frames`."""
    clips = [
        (first, min(first + max_frames, stop)) for start, stop in shots for first in range(start, stop, max_frames)
    ]
    return [(start, stop) for start, stop in clips if stop - start >= min_frames]


def _with_ends_repeated(frames: Iterable[np.ndarray], times: int) -> Iterator[np.ndarray]:
    small = None
    for number, frame in enumerate(frames):
        small = _shrink(frame)
        yield from [small] * (times + 1 if number == 0 else 1)
    if small is not None:
        yield from [small] * times


def _shrink(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if width <= _WIDTH:
        return frame
    return cv2.resize(frame, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
