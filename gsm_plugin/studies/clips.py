"""Clips with ground truth, as studies read them from folders, and what outputs are measured by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gsm_plugin.compat.image_files import read_image, to_8_bit
from gsm_plugin.data.clip_names import is_image_name
from gsm_plugin.errors import UserError

_CHARBONNIER = 1e-12


@dataclass(frozen=True)
class StudyClip:
    """A clip in [0, 1]: lq (1, t, 3, h, w) and gt (1, t, 3, s h, s w)."""

    name: str
    lq: Tensor
    gt: Tensor

    @property
    def scale(self) -> int:
        """By how much gt is larger than lq."""
        return self.gt.shape[-1] // self.lq.shape[-1]

    def part(self, top: int, left: int, size: tuple[int, int], frames: int) -> 'StudyClip':
        """A piece of the first frames, `size` LQ pixels high and wide or as much as there is."""
        scale, (height, width) = self.scale, size
        lq = self.lq[:, :frames, :, top : top + height, left : left + width]
        rows, columns = (slice(scale * first, scale * (first + side)) for first, side in ((top, height), (left, width)))
        return StudyClip(self.name, lq, self.gt[:, :frames, :, rows, columns])

    def middle(self, side: int, frames: int) -> 'StudyClip':
        """The middle of the first frames, `side` LQ pixels high and wide or as much as there is."""
        top, left = (max(0, (size - side) // 2) for size in self.lq.shape[-2:])
        return self.part(top, left, (side, side), frames)


def clip_names(root: Path, lq: str = 'LQ') -> list[str]:
    """Names of the clips of a folder, those below `root/lq`.

    Raises:
        UserError: There is none.
    """
    names = sorted(folder.name for folder in (root / lq).glob('*') if folder.is_dir())
    if not names:
        raise UserError(f'{root} has no folder {lq} with a folder of frames for each clip; `make demo` makes some.')
    return names


def read_clip(
    root: Path, name: str, device: torch.device | str = 'cpu', frames: int | None = None, lq: str = 'LQ'
) -> StudyClip:
    """Reads a clip of `root/lq` and `root/GT`.

    Args:
        root: The folder.
        name: The clip's folder in both.
        device: Where it goes.
        frames: The first ones; None for all.
        lq: Name of the folder of LQ.

    Raises:
        UserError: One of the folders has no frames, or a frame cannot be read.
    """
    read = [_read(root / kind / name, frames).to(device) for kind in (lq, 'GT')]
    return StudyClip(name, *read)


def charbonnier(output: Tensor, gt: Tensor) -> Tensor:
    """The loss of the recipes."""
    return ((output - gt).square() + _CHARBONNIER).sqrt().mean()


def psnr(output: Tensor, gt: Tensor) -> float:
    """Mean PSNR over the frames (1, t, 3, h, w), as 8-bit images, dB."""
    rounded = (output.clamp(0, 1) * 255).round() / 255
    return (-10 * torch.log10((rounded.double() - gt.double()).square().mean((0, 2, 3, 4)))).mean().item()


def _read(folder: Path, frames: int | None) -> Tensor:
    paths = sorted(path for path in folder.glob('*') if is_image_name(path.name))[:frames]
    if not paths:
        raise UserError(f'{folder} has no frames; give each clip a folder below LQ and one below GT.')
    images = np.stack([to_8_bit(read_image(path))[..., ::-1] for path in paths])
    return torch.from_numpy(images).movedim(-1, 1)[None].float() / 255
