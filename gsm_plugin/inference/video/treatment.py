"""What happens to frames between the network and the encoder: resampling, turning, the input beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Treatment:
    """Makes what is written of what the network saw and gave.

    Attributes:
        height: Rows of the enlarged frame, before it is turned.
        width: Its columns.
        quarters: Quarters of a turn, counterclockwise.
        beside: Whether the input, enlarged by bicubic interpolation, stands on the left of the output.
    """

    height: int
    width: int
    quarters: int = 0
    beside: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of what is written."""
        turned = (self.width, self.height) if self.quarters % 2 else (self.height, self.width)
        return (turned[0], turned[1] * 2) if self.beside else turned

    def __call__(self, seen: Tensor, output: Tensor) -> Tensor:
        """Treats frames.

        Args:
            seen: (t, 3, h, w), what the network saw.
            output: (t, 3, h * scale, w * scale), what it gave.

        Returns:
            (t, 3, *size), on the output's device.
        """
        # Here, since sizes are asked for before PyTorch is loaded.
        import torch

        frames = torch.rot90(resized(output, self.height, self.width), self.quarters, (-2, -1))
        if not self.beside:
            return frames
        before = resized(seen.to(output.device), self.height, self.width)
        return torch.cat([torch.rot90(before, self.quarters, (-2, -1)), frames], -1)


def resized(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames (t, 3, h, w) of another size, by bicubic interpolation that filters what it makes smaller."""
    if frames.shape[-2:] == (height, width):
        return frames
    from torch.nn.functional import interpolate

    return interpolate(frames.float(), (height, width), mode='bicubic', antialias=True, align_corners=False)
