"""Photographs and cut-outs in the size in which they serve as material."""

from pathlib import Path

import cv2
import numpy as np

from gsm_plugin.compat.image_files import unreadable

# What is left after a camera's own blur is gone; more pixels of the same picture have no more detail.
_PHOTOGRAPH_PIXELS = 1.6e6
_CUTOUT_SIDE = 224
_CUTOUTS = 100
# Line drawings, letters and the like.
_NOT_OBJECTS = ('symbols', 'clothes')


def write_photograph(source: Path, target: Path) -> None:
    """Writes a photograph of at most 1.6 megapixels, shrunk by area, as JPEG without loss of colour resolution.

    Raises:
        UserError: It is no image.
    """
    image = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if image is None:
        raise unreadable(str(source))
    height, width = image.shape[:2]
    factor = min(1.0, (_PHOTOGRAPH_PIXELS / (height * width)) ** 0.5)
    size = round(width * factor), round(height * factor)
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), cv2.resize(image, size, interpolation=cv2.INTER_AREA), options)


def write_cutouts(stamps: Path, folder: Path) -> int:
    """Writes the stamps with the most detail as PNG with alpha, at most 224 pixels a side.

    Args:
        stamps: Folder below which all stamps are.
        folder: Folder to write to.

    Returns:
        How many were written.
    """
    rated = []
    for path in sorted(stamps.rglob('*.png')):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if image is not None and not set(_NOT_OBJECTS) & set(path.parts) and _serves(image):
            rated.append((_detail(image), path, image))
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, path, image) in enumerate(sorted(rated, key=lambda item: -item[0])[:_CUTOUTS]):
        factor = min(1.0, _CUTOUT_SIDE / max(image.shape[:2]))
        small = image if factor == 1.0 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f'{number:03d}_{path.stem}.png'), small, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return min(len(rated), _CUTOUTS)


def _serves(image: np.ndarray) -> bool:
    if image.ndim != 3 or image.shape[2] != 4 or min(image.shape[:2]) < 150:
        return False
    return 0.2 < float((image[..., 3] > 127).mean()) < 0.95


def _detail(image: np.ndarray) -> float:
    """Mean absolute difference from a blurred copy, inside the object."""
    gray = cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32)
    return float(np.abs(gray - cv2.GaussianBlur(gray, (0, 0), 2))[image[..., 3] > 127].mean())
