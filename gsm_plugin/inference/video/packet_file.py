"""A segment of encoded video on the disk: its packets in coding order, whole or not there.

Each packet has a head. Behind the last one is a head of a size that no packet has, with the number of packets, and a
check of all before it.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from gsm_plugin.errors import UserError
from gsm_plugin.files import whole_file

_MAGIC = b'GSMPKT2\n'
_HEAD, _CHECK = struct.Struct('<qQ?'), struct.Struct('<I')
_NO_SIZE, _BLOCK = 2**64 - 1, 2**20


@dataclass(frozen=True)
class StoredPacket:
    """An encoded frame.

    Attributes:
        pts: Time stamp in the film's time base.
        is_keyframe: Whether decoding can begin there.
        size: Bytes.
        content: The bytes; empty where they were not asked for.
    """

    pts: int
    is_keyframe: bool
    size: int
    content: bytes = b''


def write_packets(path: Path, packets: Iterable[av.Packet]) -> int:
    """Writes a segment; returns its bytes. On an error nothing is left."""
    size = number = check = 0
    with whole_file(path) as part, part.open('wb') as file:

        def put(content: bytes) -> None:
            nonlocal check
            check = zlib.crc32(content, check)
            file.write(content)

        put(_MAGIC)
        for packet in packets:
            content = bytes(packet)
            put(_HEAD.pack(packet.pts, len(content), packet.is_keyframe))
            put(content)
            size, number = size + len(content), number + 1
        put(_HEAD.pack(number, _NO_SIZE, False))
        file.write(_CHECK.pack(check))
    return size


def is_whole(path: Path) -> bool:
    """Whether a segment is as it was written."""
    left, check = path.stat().st_size - _CHECK.size, 0
    with path.open('rb') as file:
        while left > 0:
            block = file.read(min(_BLOCK, left))
            if not block:
                return False
            left, check = left - len(block), zlib.crc32(block, check)
        return left == 0 and file.read() == _CHECK.pack(check)


def read_packets(path: Path, with_content: bool = True) -> Iterator[StoredPacket]:
    """Reads a segment.

    Raises:
        UserError: The file is damaged.
    """
    with path.open('rb') as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f'{path} is no segment; remove it, and run again.')
        number = 0
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            pts, size, is_keyframe = _HEAD.unpack(head)
            if size == _NO_SIZE and pts == number:
                return
            if with_content:
                yield StoredPacket(pts, is_keyframe, size, file.read(size))
            else:
                file.seek(size, 1)
                yield StoredPacket(pts, is_keyframe, size)
            number += 1
        raise UserError(f'{path} is cut; remove it, and run again.')
