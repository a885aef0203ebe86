"""Reading an image to its last byte, so that damage is found before a training meets it."""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from gsm_plugin.compat import UserError

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# Of Pillow's modes; all others are decoded to three channels.
_CHANNELS = {'1': 1, 'L': 1, 'I': 1, 'I;16': 1, 'F': 1, 'LA': 4, 'PA': 4, 'RGBA': 4}


@dataclass(frozen=True)
class ImageFacts:
    """What an image turned out to be.

    Attributes:
        shape: Height, width and channels.
        digest: Hash of its pixels.
    """

    shape: tuple[int, int, int]
    digest: bytes


def inspect_image(content: bytes, where: str) -> ImageFacts:
    """Decodes an image; of a PNG the checksums of all chunks are compared too.

    Args:
        content: The bytes of its file.
        where: What messages call it.

    Raises:
        UserError: It is damaged, cut, or no image.
    """
    try:
        if content.startswith(_PNG_SIGNATURE):
            _compare_checksums(content)
        with Image.open(io.BytesIO(content)) as image:
            pixels = image.tobytes()
            return ImageFacts(_shape(image), hashlib.blake2b(pixels, digest_size=16).digest())
    except Exception as error:
        # Pillow raises almost anything on damaged files: OSError, SyntaxError, ValueError, struct.error, ...
        raise _damaged(where) from error


def _compare_checksums(content: bytes) -> None:
    """Compares the checksum of every chunk of a PNG (length, name, data, CRC-32); Pillow skips some of them."""
    place, name = len(_PNG_SIGNATURE), b''
    while name != b'IEND':
        length, name = struct.unpack_from('>I4s', content, place)
        data_end = place + 8 + length
        (expected,) = struct.unpack_from('>I', content, data_end)
        if zlib.crc32(content[place + 4 : data_end]) != expected:
            raise ValueError(f'checksum of {name}')
        place = data_end + 4


def inspect_file(path: str | Path) -> ImageFacts:
    """Reads an image file; see `inspect_image`."""
    return inspect_image(Path(path).read_bytes(), str(path))


def header_shape(content: bytes, where: str) -> tuple[int, int, int]:
    """Height, width and channels out of the header of an image.

    Raises:
        UserError: The header is damaged.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _shape(image)
    except Exception as error:
        raise _damaged(where) from error


def _shape(image: Image.Image) -> tuple[int, int, int]:
    return image.height, image.width, _CHANNELS.get(image.mode, 3)


def _damaged(where: str) -> UserError:
    return UserError(f'{where} is damaged, cut, or no image; copy or make it again.')
