"""Folders of images in place of films: PNG, JPEG, WebP and TIFF, 8 or 16 bit, gray or colour."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from gsm_plugin.compat.image_files import read_header, read_image
from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole
from gsm_plugin.inference.video.facts import Facts, Picture
from gsm_plugin.inference.video.layout import Layout

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff', '.bmp')
"""Endings of files that are taken for images."""

# Of OpenCV's numbers: quality from 0 to 100, where above 100 WebP has no loss; speed over size for PNG.
_PARAMETERS = {
    '.jpg': (cv2.IMWRITE_JPEG_QUALITY, 95),
    '.webp': (cv2.IMWRITE_WEBP_QUALITY, 101),
    '.png': (cv2.IMWRITE_PNG_COMPRESSION, 1),
}
_LONGEST_SIDES = {'.jpg': 65_500, '.webp': 16_383}
_EIGHT_BIT_ALONE = ('.jpg', '.webp', '.bmp')


def learn_folder(folder: Path, rate: Fraction | None = None) -> Facts:
    """What a folder of images is, by its names and its first image.

    Args:
        folder: Folder with images; other files in it are passed over.
        rate: Images per second, where a film is made of them.

    Raises:
        UserError: It has no images, two of one name, a link to no image, or the first one cannot be read.
    """
    lost = next((path for path in sorted(folder.iterdir()) if _leads_nowhere(path)), None)
    if lost is not None:
        raise UserError(f'{lost} is a link that leads nowhere; correct or remove it.')
    paths = sorted((path for path in folder.iterdir() if _is_image(path)), key=_natural)
    if not paths:
        raise UserError(f'{folder} has no images ({" ".join(SUFFIXES)}); name another folder, or a film.')
    stems = [path.stem for path in paths]
    twice = next((stem for i, stem in enumerate(stems[1:]) if stem == stems[i]), None)
    if twice is not None:
        raise UserError(f'{folder} has more than one image called {twice}; remove one of them.')
    image = _read(paths[0])
    height, width = image.shape[:2]
    kind = 'gray' if image.ndim == 2 else 'gbrp'
    layout = Layout(kind if image.dtype == np.uint8 else f'{kind}16le', True, 0 if kind == 'gbrp' else 1, 'center')
    rate = Fraction(rate or 25)
    names = tuple(path.name for path in paths)
    codec = paths[0].suffix[1:].lower()
    alpha = read_header(paths[0]).has_alpha
    return Facts(
        folder,
        height,
        width,
        layout,
        1 / rate,
        rate,
        codec,
        duration=float(len(paths) / rate),
        names=names,
        transparent=alpha,
    )


@dataclass(frozen=True)
class FolderReading:
    """How a folder of images is read.

    Attributes:
        facts: The folder.
        start: Seconds from the beginning; images before it are left out.
        end: Images from there on are left out; None for none.
    """

    facts: Facts
    start: float = 0.0
    end: float | None = None

    def pictures(self, on_fault: Callable[[str], None] | None = None) -> Iterator[Picture]:
        """Reads image by image; see `Reading.pictures`. No fault is passed over.

        Raises:
            UserError: An image cannot be read, or is of another size or kind than the first one.
        """
        for number, name in enumerate(self.facts.names):
            second = float(number / self.facts.rate)
            if second >= self.start and (self.end is None or second < self.end):
                yield Picture(self._planes(self.facts.path / name), number, 1)

    def _planes(self, path: Path) -> tuple[np.ndarray, ...]:
        image, facts = _read(path), self.facts
        first = facts.path / facts.names[0]
        if image.shape[:2] != (facts.height, facts.width):
            height, width = image.shape[:2]
            raise UserError(
                f'{path} is {width}x{height}, but {first} is {facts.width}x{facts.height}; put images of one size '
                f'into a folder.'
            )
        if image.dtype != facts.layout.dtype:
            raise UserError(f'{path} has another depth than {first}; put images of one depth into a folder.')
        if image.ndim == 2:
            return (image,) if facts.layout.kind == 'gray' else (image, image, image)
        if facts.layout.kind == 'gray':
            raise UserError(f'{path} has colours, but {first} has none; put them into folders of their own.')
        blue, green, red = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
        return green, blue, red


@dataclass(frozen=True)
class ImageKind:
    """How images are written.

    Attributes:
        suffix: `.png`, `.jpg`, `.webp`, `.tif` or `.bmp`.
    """

    suffix: str

    def depth(self, depth: int) -> int:
        """Bits of a sample in the images, for input of so many bits."""
        return 8 if depth == 8 or self.suffix in _EIGHT_BIT_ALONE else 16

    def check_size(self, height: int, width: int) -> None:
        """Refuses images that are too large for their kind.

        Raises:
            UserError: They are.
        """
        most = _LONGEST_SIDES.get(self.suffix)
        if most is not None and max(height, width) > most:
            raise UserError(
                f'the output has {width}x{height} pixels, but {self.suffix} holds {most} a side; give --ext png.'
            )

    def write(self, path: Path, planes: Sequence[np.ndarray]) -> None:
        """Writes an image, whole or not at all.

        Args:
            path: The file.
            planes: One plane of gray, or green, blue and red.

        Raises:
            UserError: It cannot be encoded in this kind, for its size for example.
        """
        image = planes[0] if len(planes) == 1 else np.stack([planes[1], planes[0], planes[2]], -1)
        parameters = _PARAMETERS.get(self.suffix, ())
        try:
            good, content = cv2.imencode(self.suffix, image, list(parameters))
        except cv2.error:
            good = False
        if not good:
            raise UserError(f'{path} of {image.shape[1]}x{image.shape[0]} cannot be written; give --ext png.')
        write_whole(path, content.data)


def image_kind(name: str) -> ImageKind:
    """The kind of images of an ending, with or without its dot.

    Raises:
        UserError: None is known.
    """
    suffix = '.' + name.lower().lstrip('.')
    suffix = {'.jpeg': '.jpg', '.tiff': '.tif'}.get(suffix, suffix)
    if suffix not in SUFFIXES:
        raise UserError(f'--ext {name} is no kind of image that infer writes; take png, jpg, webp, tif or bmp.')
    return ImageKind(suffix)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith('.') and path.is_file()


def _leads_nowhere(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_symlink() and not path.exists()


def _natural(path: Path) -> list:
    """Order of names in which frame 2 comes before frame 10."""
    return [(int(part), '') if part.isdecimal() else (-1, part) for part in re.split(r'(\d+)', path.stem)]


def _read(path: Path) -> np.ndarray:
    """(h, w) of gray or (h, w, 3), BGR, uint8 or uint16, turned as EXIF says."""
    image = read_image(path)
    return image[..., 0] if read_header(path).channels == 1 else image
