"""Shots of a video: the frames between two cuts, cut to the lengths of clips."""

from collections.abc import Iterable

import numpy as np

from gsm_plugin.inference.video.scenes import DEFAULT_THRESHOLD, CutFinder


def find_shots(frames: Iterable[np.ndarray], threshold: float = DEFAULT_THRESHOLD) -> list[tuple[int, int]]:
    """Finds the shots of a video by the content of its frames; see `CutFinder`.

    Args:
        frames: All frames, (h, w, 3), uint8, BGR.
        threshold: How many times as much as around it a picture has to change at a cut; lower finds more cuts.

    Returns:
        First frame of each shot and the frame after its last.
    """
    finder = CutFinder(threshold)
    for frame in frames:
        finder.add(frame)
    return finder.scenes()


def cut_shots(shots: list[tuple[int, int]], min_frames: int, max_frames: int) -> list[tuple[int, int]]:
    """Cuts shots into clips of at most `max_frames`, and leaves out what is shorter than `min_frames`."""
    clips = [
        (first, min(first + max_frames, stop)) for start, stop in shots for first in range(start, stop, max_frames)
    ]
    return [(start, stop) for start, stop in clips if stop - start >= min_frames]
