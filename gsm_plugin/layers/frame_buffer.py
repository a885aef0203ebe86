"""Frames that a sweep of windows reads and writes."""

from collections.abc import Sequence

import torch
from torch import Tensor


class FrameBuffer:
    """Frames of a clip, read and written by windows that overlap.

    With gradients, a write replaces frames, since autograd needs the old ones; without, it overwrites them in place, so
    that memory does not grow with the number of windows.

    Args:
        clip: (b, t, h, w, c); overwritten where gradients are off.
    """

    def __init__(self, clip: Tensor) -> None:
        self._clip = None if torch.is_grad_enabled() else clip
        self._frames = list(clip.unbind(1))

    def read(self, positions: Sequence[int]) -> Tensor:
        """Frames at consecutive positions, (b, k, h, w, c); the first or last frame stands for those outside.

        Without gradients they may be those of the buffer itself, and be overwritten in the place of `write`.
        """
        if self._clip is not None and positions[0] >= 0 and positions[-1] < len(self._frames):
            return self._clip[:, positions[0] : positions[-1] + 1]
        last = len(self._frames) - 1
        frames = [self._frames[min(max(i, 0), last)] for i in positions]
        if self._clip is None:
            return torch.stack(frames, 1)
        b, _, *sides = self._clip.shape
        # with memory of its own, since autocast refuses to stack frames in a half precision that it does not cast to
        return torch.stack(frames, 1, out=self._clip.new_empty(b, len(frames), *sides))

    def write(self, positions: Sequence[int], window: Tensor) -> None:
        """Writes frames (b, k, h, w, c) to consecutive positions; those outside the clip are dropped."""
        first, last = max(positions[0], 0), min(positions[-1] + 1, len(self._frames))
        inside = window[:, first - positions[0] : last - positions[0]]
        if self._clip is None:
            self._frames[first:last] = inside.unbind(1)
        elif inside.data_ptr() != self._frames[first].data_ptr():
            self._clip[:, first:last] = inside

    def add_and_reverse(self, x: Tensor) -> Tensor:
        """x plus the frames, both (b, t, h, w, c), from the last frame to the first; ends the use of the buffer."""
        if self._clip is None:
            return (x + torch.stack(self._frames, 1)).flip(1)
        for i in range((len(self._frames) + 1) // 2):
            one, other = self._frames[i], self._frames[-1 - i]
            last = one + x[:, i]
            torch.add(other, x[:, -1 - i], out=one)
            other.copy_(last)
        return self._clip
