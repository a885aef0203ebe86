"""Reading an image to its last byte, so that damage is found before a training meets it."""

import hashlib
import struct
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gsm_plugin.compat.image_files import (
    ImageHeader,
    alpha_note,
    decode_image,
    header_of,
    read_file,
    read_header,
    unreadable,
)

_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'


@dataclass(frozen=True)
class ImageFacts:
    """What an image turned out to be.

    Attributes:
        header: Its size and what else its header tells.
        digest: Hash of its pixels as they are read for training and tests.
    """

    header: ImageHeader
    digest: bytes


def inspect_image(content: bytes, where: str) -> ImageFacts:
    """Decodes an image; of a PNG the checksums of all chunks are compared too.

    Args:
        content: The bytes of its file.
        where: What messages call it.

    Raises:
        UserError: It is damaged, cut, or no image.
    """
    return inspect_pixels(content, where)[0]


def inspect_pixels(content: bytes, where: str) -> tuple[ImageFacts, np.ndarray]:
    """The same, with the pixels as `decode_image` gives them."""
    if content.startswith(_PNG_SIGNATURE):
        try:
            _compare_checksums(content)
        except (ValueError, struct.error) as error:
            raise unreadable(where) from error
    pixels = decode_image(content, where)
    return ImageFacts(header_of(content, where), hashlib.blake2b(pixels.data, digest_size=16).digest()), pixels


def say_if_alpha(paths: Iterable[Path]) -> None:
    """Says on the terminal which folders begin with an image that has an alpha channel, since that is left out."""
    first = {path.parent: path for path in reversed(list(paths))}
    places = [str(path) for path in reversed(first.values()) if read_header(path).has_alpha]
    if places:
        tqdm.write(alpha_note(places), file=sys.stderr)


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
    return inspect_image(read_file(path), str(path))
