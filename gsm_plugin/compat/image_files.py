"""The one place where image files become pixels and where their headers are read; BasicSR reads by it too.

OpenCV turns pixels as EXIF says while the sizes in headers are unturned, and what it turns depends on its version and
flags. Here both come from the same tag: the pixels that are read always have the size that is told.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from gsm_plugin.errors import UserError

# OpenCV writes lines of its own about damaged images; whoever reads them by this file gets a sentence.
if 'OPENCV_LOG_LEVEL' not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
# Of Pillow's modes; all others have three channels.
_CHANNELS = {'1': 1, 'L': 1, 'I': 1, 'I;16': 1, 'I;16B': 1, 'F': 1, 'LA': 4, 'PA': 4, 'RGBA': 4}
_ORIENTATION, _WIDTH, _HEIGHT = 0x0112, 0x0100, 0x0101


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image tells, without its pixels being decoded.

    Attributes:
        height: Of the pixels as `decode_image` gives them, turned if EXIF says so.
        width: Likewise.
        channels: 1, 3, or 4 with an alpha channel, as stored.
        has_alpha: Whether pixels can be transparent, which `decode_image` leaves out.
        orientation: EXIF's number of how to turn what is stored, 1 to 8; 1 for TIFF, which decoders turn themselves.
    """

    height: int
    width: int
    channels: int
    has_alpha: bool
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, as BasicSR's lists have them."""
        return self.height, self.width, self.channels


def read_file(path: str | Path) -> bytes:
    """Reads a file of an image.

    Raises:
        UserError: It is missing, empty, forbidden, no file, or a link that leads nowhere; the text has the cure.
    """
    _refuse_what_never_ends(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise no_file(path, error) from error
    if not content:
        raise _empty(path)
    return content


def read_header(path: str | Path) -> ImageHeader:
    """Reads the header of an image file; the rest of it is not read.

    Raises:
        UserError: As `read_file`, or it is no image.
    """
    _refuse_what_never_ends(path)
    try:
        with open(path, 'rb') as file:
            if not file.read(1):
                raise _empty(path)
            file.seek(0)
            return _parse_header(file, str(path))
    except OSError as error:
        raise no_file(path, error) from error


def header_of(content: bytes | memoryview, where: str) -> ImageHeader:
    """The header of an image that has been read.

    Raises:
        UserError: It is no image; `where` is what the text calls it.
    """
    return _parse_header(io.BytesIO(content), where)


def read_image(path: str | Path) -> np.ndarray:
    """Reads an image file; see `decode_image`."""
    return decode_image(read_file(path), str(path))


def decode_image(content: bytes, where: str) -> np.ndarray:
    """Decodes an image as all data sets, tools and checks see it.

    Gray becomes three equal channels, and alpha is left out. EXIF's orientation is applied.

    Args:
        content: The bytes of its file.
        where: What messages call it.

    Returns:
        (h, w, 3), BGR; uint8, or uint16 where more than 8 bits are stored.

    Raises:
        UserError: It is damaged, cut, no image, or its pixels are no whole numbers.
    """
    if not content:
        raise _empty(where)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), _FLAGS)
    except cv2.error as error:
        raise unreadable(where) from error
    if image is None:
        _refuse_unknown_pixels(io.BytesIO(content), where)
        raise unreadable(where)
    _require_whole_numbers(image.dtype, where)
    return _turn(image, header_of(content, where).orientation)


def to_unit(image: np.ndarray) -> np.ndarray:
    """Scales uint8 or uint16 to float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def to_8_bit(image: np.ndarray) -> np.ndarray:
    """Rounds uint16 to uint8; uint8 stays as it is."""
    return image if image.dtype == np.uint8 else (image / 257).round().astype(np.uint8)


def alpha_note(places: Sequence[str]) -> str:
    """What is said where images have an alpha channel; `places` names them."""
    more = f' (and {len(places) - 1} more)' if len(places) > 1 else ''
    return f'{places[0]}{more} has an alpha channel, which is left out: what is read is colour alone.'


def unreadable(where: str) -> UserError:
    """What is said of a file that is no whole image."""
    return UserError(f'{where} is damaged, cut, or no image; copy or make it again.')


def _refuse_what_never_ends(path: str | Path) -> None:
    """Refuses pipes, sockets and devices, whose reader would wait for ever."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f'{path} is a pipe, a socket or a device, and no file; remove it.')


def no_file(path: str | Path, error: OSError) -> UserError:
    """What is said of a file that cannot be opened or read."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        return UserError(
            f'{path} is a link to {path.readlink()}, which does not exist; copy the file, or link it again.'
        )
    if isinstance(error, FileNotFoundError):
        return UserError(f'{path} does not exist; add it.')
    if isinstance(error, PermissionError):
        return UserError(f'{path} cannot be read (permission denied); correct its permissions.')
    if path.is_dir():
        return UserError(f'{path} is a folder, not an image; rename or remove it.')
    return UserError(f'{path} cannot be read ({error.strerror or error}); copy it again.')


def _parse_header(file: BinaryIO, where: str) -> ImageHeader:
    try:
        with Image.open(file) as image:
            turn = 1 if image.format == 'TIFF' else _orientation(image.info.get('exif'))
            width, height = _stored_size(image)
            if turn > 4:
                width, height = height, width
            channels = _CHANNELS.get(image.mode, 3)
            return ImageHeader(height, width, channels, image.has_transparency_data, turn)
    except Exception as error:
        # Pillow raises almost anything on damaged files: OSError, SyntaxError, ValueError, struct.error, ...
        _refuse_unknown_pixels(file, where)
        raise unreadable(where) from error


def _refuse_unknown_pixels(file: BinaryIO, where: str) -> None:
    """Says what is wrong where a file is whole, but its pixels are not of 8 or 16 bits, such as TIFF of float32."""
    file.seek(0)
    try:
        image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return
    if image is not None:
        _require_whole_numbers(image.dtype, where)


def _require_whole_numbers(dtype: np.dtype, where: str) -> None:
    if dtype not in (np.uint8, np.uint16):
        raise UserError(f'{where} has {dtype} pixels; frames have 8 or 16 bits, so write it again as PNG.')


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height; of TIFF as decoders turn it, which Pillow tells in some versions before decoding only."""
    if not isinstance(image, TiffImageFile):
        return image.size
    width, height = image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT]
    return (height, width) if image.tag_v2.get(_ORIENTATION, 1) in (5, 6, 7, 8) else (width, height)


def _orientation(exif: bytes | None) -> int:
    if not exif:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        turn = tags.get(_ORIENTATION, 1)
    except Exception:
        # Tags that cannot be parsed turn nothing, as in OpenCV; Pillow raises almost anything here too.
        return 1
    return turn if turn in range(1, 9) else 1


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes what EXIF's orientation tells of how a picture is stored."""
    if orientation > 4:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _empty(path: str | Path) -> UserError:
    return UserError(f'{path} is empty (0 bytes); copy or make it again.')
