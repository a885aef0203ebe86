"""MATLAB's bicubic enlargement as a network without weights: the baseline of every table."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The cubic kernel reaches two pixels far.
_REACH = 2


class Bicubic(nn.Module):
    """Enlarges frames as MATLAB's `imresize(..., 'bicubic')` does, its mirrored borders included.

    Args:
        upscale: Whole factor from 1 up.

    Raises:
        ValueError: The factor is none.
    """

    def __init__(self, upscale: int = 4) -> None:
        super().__init__()
        if not isinstance(upscale, int) or upscale < 1:
            raise ValueError(f'upscale is {upscale!r}; set a whole number from 1 up.')
        self.upscale = upscale

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, c, h, w) -> (b, t, c, h * upscale, w * upscale), which may overshoot the range of x a little."""
        padded = x.flatten(0, 1)
        for axis in (-2, -1):
            padded = padded.index_select(axis, _mirrored(x.shape[axis], x.device))
        # PyTorch's antialiased kernel is the one of Keys with a = -0.5, as MATLAB's; the plain one has a = -0.75.
        enlarged = F.interpolate(padded, scale_factor=self.upscale, mode='bicubic', antialias=True, align_corners=False)
        cut = slice(_REACH * self.upscale, -_REACH * self.upscale)
        return enlarged[..., cut, cut].unflatten(0, x.shape[:2])


def _mirrored(side: int, device: torch.device) -> Tensor:
    """Places of a row that is continued at both ends by its mirror image, the border pixel twice."""
    place = torch.arange(-_REACH, side + _REACH, device=device) % (2 * side)
    return torch.where(place < side, place, 2 * side - 1 - place)
