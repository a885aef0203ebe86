"""A clip on which an exported network is compared with the network itself."""

from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.containers import open_input

_IMAGES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
# Pixels that a photograph moves from frame to frame, down and to the right.
_MOTION = 1.3, 2.6


def example_clip(place: Path | None, frames: int, height: int, width: int) -> tuple[Tensor, str]:
    """The first frames of a film or folder of images, or a photograph that moves, cut to a size.

    Args:
        place: A film or a folder; None for the photograph that Matplotlib brings along.
        frames: How many.
        height: Of a frame.
        width: Of a frame.

    Returns:
        (1, t, 3, h, w), in [0, 1], and what it is, in words.

    Raises:
        UserError: There is no such place, it cannot be read, or has too few frames.
    """
    if place is None:
        return _moving_photograph(frames, height, width), 'a photograph that moves'
    if not place.exists():
        raise UserError(f'--clip {place} does not exist; name a film or a folder of images.')
    pictures = _images(place, frames) if place.is_dir() else _film(place, frames)
    if len(pictures) < frames:
        raise UserError(f'--clip {place} has {len(pictures)} frames; give one with {frames} or more.')
    clip = torch.stack([torch.from_numpy(picture) for picture in pictures]).permute(0, 3, 1, 2).float() / 255
    return _cut(clip, height, width)[None], f'{frames} frames of {place.name}'


def _film(place: Path, frames: int) -> list[np.ndarray]:
    pictures = []
    try:
        with open_input(place) as film:
            for frame in film.decode(video=0):
                pictures.append(frame.to_ndarray(format='rgb24'))
                if len(pictures) == frames:
                    break
    except (av.FFmpegError, IndexError, OSError) as error:
        raise UserError(f'--clip {place} cannot be read as a film ({error}); give another one.') from error
    return pictures


def _images(place: Path, frames: int) -> list[np.ndarray]:
    paths = sorted(path for path in place.iterdir() if path.suffix.lower() in _IMAGES)[:frames]
    pictures = [np.array(Image.open(path).convert('RGB')) for path in paths]
    if len({picture.shape for picture in pictures}) > 1:
        raise UserError(f'--clip {place} has images of several sizes; give frames of one clip.')
    return pictures


def _moving_photograph(frames: int, height: int, width: int) -> Tensor:
    from matplotlib.cbook import get_sample_data

    path = str(get_sample_data('grace_hopper.jpg', asfileobj=False))
    with Image.open(path) as image:
        picture = torch.from_numpy(np.array(image.convert('RGB'))).permute(2, 0, 1)[None].float() / 255
    down, right = _MOTION
    big = _cut(picture, height + round(frames * down) + 1, width + round(frames * right) + 1)
    moved = []
    for i in range(frames):
        (top, y), (left, x) = (divmod(i * step, 1) for step in (down, right))
        part = big[:, :, int(top) : int(top) + height + 1, int(left) : int(left) + width + 1]
        rows = (1 - y) * part[:, :, :-1] + y * part[:, :, 1:]
        moved.append((1 - x) * rows[..., :-1] + x * rows[..., 1:])
    return torch.cat(moved)[None]


def _cut(clip: Tensor, height: int, width: int) -> Tensor:
    """The middle of frames (n, 3, h, w), which are enlarged first where they are too small."""
    factor = max(height / clip.shape[2], width / clip.shape[3], 1)
    if factor > 1:
        size = [max(side, round(factor * own)) for side, own in zip((height, width), clip.shape[2:], strict=True)]
        clip = F.interpolate(clip, size, mode='bilinear', align_corners=False, antialias=True)
    top, left = (clip.shape[2] - height) // 2, (clip.shape[3] - width) // 2
    return clip[:, :, top : top + height, left : left + width].clamp(0, 1)
