"""Frames that a sweep of windows overwrites."""

import torch
from torch import Tensor


class FrameBuffer:
    """Frames of a clip and memory on both sides of them, so that every window of a sweep is a part of it.

    Args:
        clip: As large as the clip and of the device and type of its frames, (b, t, h, w, c).
        dtype: Type of the frames.
        reach: Frames of a window on each side of its middle.

    Attributes:
        frames: The clip's frames, (b, t, h, w, c), to be filled and read by the caller.
    """

    def __init__(self, clip: Tensor, dtype: torch.dtype, reach: int) -> None:
        b, t, *sides = clip.shape
        self._reach, self._all = reach, clip.new_empty(b, t + 2 * reach, *sides, dtype=dtype)
        self.frames = self._all[:, reach : reach + t]

    def window(self, i: int) -> tuple[Tensor, slice]:
        """The window around frame i, (b, k, h, w, c), and those of its frames that the clip has.

        The first or last frame stands for those outside. What is written to the window is written to the clip.
        """
        reach, length = self._reach, self.frames.shape[1]
        self._all[:, i:reach] = self.frames[:, :1]
        self._all[:, reach + length : i + 2 * reach + 1] = self.frames[:, -1:]
        inside = slice(max(reach - i, 0), min(reach + length - i, 2 * reach + 1))
        return self._all[:, i : i + 2 * reach + 1], inside

    def add_and_reverse(self, x: Tensor) -> Tensor:
        """x plus the frames, both (b, t, h, w, c), from the last frame to the first; ends the use of the buffer."""
        frames = self.frames.unbind(1)
        for i in range((len(frames) + 1) // 2):
            one, other = frames[i], frames[-1 - i]
            last = one + x[:, i]
            torch.add(other, x[:, -1 - i], out=one)
            other.copy_(last)
        return self.frames
