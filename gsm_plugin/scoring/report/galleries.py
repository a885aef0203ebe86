"""The part of a frame that a page shows of each network, and how a row of it goes in time."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gsm_plugin.scoring.report.regions import choose_region

# A region of a frame, and the part of a row in time, in pixels.
_REGION = (240, 400)


@dataclass(frozen=True)
class Gallery:
    """Pictures of a clip as data addresses, by label.

    Attributes:
        clip: Name of the clip.
        width: Of a region, in pixels.
        height: Of a region, in pixels.
        regions: The same region of the middle frame.
        profiles: The middle row of every frame, the first one above; empty for clips of one frame.
    """

    clip: str
    width: int
    height: int
    regions: dict[str, str]
    profiles: dict[str, str]


def make_gallery(clip: str, pictures: Mapping[str, Path], profiles: Mapping[str, Path]) -> Gallery:
    """Cuts what is shown out of whole frames: the textured region where the last network leads the first most.

    Args:
        clip: Name of the clip.
        pictures: A frame by label; the first is LQ, enlarged, the last ground truth.
        profiles: Temporal profiles by label, (frames, w).
    """
    images = {label: _read(path) for label, path in pictures.items()}
    labels, gt = list(images), list(images.values())[-1]
    size = tuple(min(wanted, side) for wanted, side in zip(_REGION, gt.shape, strict=False))
    region = choose_region(images[labels[-2]], images[labels[min(1, len(labels) - 2)]], gt, size)
    columns = slice(region.left, region.left + region.width)
    return Gallery(
        clip,
        region.width,
        region.height,
        {label: _address(region.of(image)) for label, image in images.items()},
        {label: _address(_read(path)[:, columns]) for label, path in profiles.items()},
    )


def _read(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))


def _address(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='PNG', optimize=True)
    return f'data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'
