"""Frames that a sweep of windows reads and writes."""

from collections.abc import Sequence

import torch
from torch import Tensor


class FrameBuffer:
    """Frames of a clip, read and written by windows that overlap.

    With gradients, a write replaces frames, since autograd needs the old ones; without, it overwrites them in place, so
    that memory does not grow with the number of windows.

    Args:
        clip: (b, t, h, w, c); overwritten where gradients are off and it has the type `dtype`.
        dtype: Type of the frames that will be written.
    """

    def __init__(self, clip: Tensor, dtype: torch.dtype) -> None:
        self._clip = None if torch.is_grad_enabled() else clip.to(torch.promote_types(clip.dtype, dtype))
        self._frames = list((clip if self._clip is None else self._clip).unbind(1))

    def read(self, positions: Sequence[int]) -> Tensor:
        """Frames at consecutive positions, (b, k, h, w, c); the first or last frame stands for those outside."""
        if self._clip is not None and positions[0] >= 0 and positions[-1] < len(self._frames):
            return self._clip[:, positions[0] : positions[-1] + 1]
        last = len(self._frames) - 1
        return torch.stack([self._frames[min(max(i, 0), last)] for i in positions], 1)

    def write(self, positions: Sequence[int], window: Tensor) -> None:
        """Writes frames (b, k, h, w, c) to consecutive positions; those outside the clip are dropped."""
        for i, frame in zip(positions, window.unbind(1), strict=True):
            if not 0 <= i < len(self._frames):
                continue
            if self._clip is None:
                self._frames[i] = frame
            else:
                self._frames[i].copy_(frame)

    def clip(self) -> Tensor:
        """All frames, (b, t, h, w, c)."""
        return torch.stack(self._frames, 1) if self._clip is None else self._clip
