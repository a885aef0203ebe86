"""Scenes of a clip, from cuts that are given or from properties of its frames."""

import bisect
from collections.abc import Sequence

import vapoursynth as vs

PROPERTY = '_SceneChangePrev'
"""Whether a frame begins a scene, as `misc.SCDetect` and its like say it."""


class Scenes:
    """Finds the scene that a frame is in, and looks no further than that needs.

    Args:
        clip: The clip.
        cuts: First frames of scenes; None looks at properties.
    """

    def __init__(self, clip: vs.VideoNode, cuts: Sequence[int] | None) -> None:
        self._clip = clip
        # by number of a frame, whether a scene begins with it
        self._begins: dict[int, bool] = {}
        if cuts is None and PROPERTY not in clip.get_frame(0).props:
            cuts = ()
        self._cuts = None if cuts is None else sorted({0, *cuts, clip.num_frames})

    def around(self, n: int) -> tuple[int, int]:
        """First frame of the scene of frame n, and the frame after its last."""
        if self._cuts is not None:
            place = bisect.bisect_right(self._cuts, n)
            return self._cuts[place - 1], self._cuts[place]
        start, stop = n, n + 1
        while not self._is_first(start):
            start -= 1
        while stop < self._clip.num_frames and not self._is_first(stop):
            stop += 1
        return start, stop

    def _is_first(self, n: int) -> bool:
        if n not in self._begins:
            self._begins[n] = n == 0 or bool(self._clip.get_frame(n).props.get(PROPERTY, 0))
        return self._begins[n]
