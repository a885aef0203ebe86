"""Which frames a training item is made of, where every frame of every clip is a possible start."""

import bisect
import random
from collections.abc import Sequence
from itertools import accumulate

from gsm_plugin.errors import UserError


class ClipIndex:
    """Numbers the frames of all clips, and draws items that start at them, as BasicSR's `REDSRecurrentDataset` does.

    Args:
        lengths: Number of frames of each clip.
        num_frame: Frames of an item.
        intervals: Distances between frames to draw from; those for which a clip is too short are not drawn for it.
        reverse: Whether to reverse items in time with probability one half.
        title: What messages call the data set.

    Raises:
        UserError: A clip is too short for an item with any of them.
    """

    def __init__(self, lengths: dict[str, int], num_frame: int, intervals: Sequence[int], reverse: bool, title: str):
        self._lengths, self._num_frame, self._intervals, self._reverse = lengths, num_frame, intervals, reverse
        self._clips = list(lengths)
        self._ends = list(accumulate(lengths.values()))
        shortest = _span(num_frame, min(intervals))
        for clip, length in lengths.items():
            if length < shortest:
                raise UserError(
                    f'{title}: clip {clip} has {length} frames, num_frame and interval_list need {shortest}; '
                    f'lower num_frame, or leave the clip out by meta_info_file.'
                )

    def __len__(self) -> int:
        return self._ends[-1]

    def draw(self, index: int) -> tuple[str, list[int]]:
        """The clip that frame `index` of the set is in, and the item's frames from there on if the clip allows it."""
        number = bisect.bisect_right(self._ends, index)
        clip = self._clips[number]
        length = self._lengths[clip]
        fitting = [one for one in self._intervals if _span(self._num_frame, one) <= length]
        interval = random.choice(fitting)
        last_start = length - _span(self._num_frame, interval)
        start = index - (self._ends[number] - length)
        if start > last_start:
            start = random.randint(0, last_start)
        frames = [start + i * interval for i in range(self._num_frame)]
        if self._reverse and random.random() < 0.5:
            frames.reverse()
        return clip, frames

    def before(self, clip: str, frames: list[int], count: int) -> list[int]:
        """Up to `count` frames that come before an item's, in the order and at the distance of its own."""
        step = frames[1] - frames[0] if len(frames) > 1 else 1
        earlier = [frames[0] - i * step for i in range(count, 0, -1)]
        return [frame for frame in earlier if 0 <= frame < self._lengths[clip]]


def _span(num_frame: int, interval: int) -> int:
    return (num_frame - 1) * interval + 1
