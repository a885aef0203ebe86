"""A segment of encoded video on the disk: its packets in coding order, whole or not there."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from gsm_plugin.errors import UserError
from gsm_plugin.files import whole_file

_MAGIC = b'GSMPKT1\n'
_HEAD = struct.Struct('<qQ?')


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
    size = 0
    with whole_file(path) as part, part.open('wb') as file:
        file.write(_MAGIC)
        for packet in packets:
            content = bytes(packet)
            file.write(_HEAD.pack(packet.pts, len(content), packet.is_keyframe))
            file.write(content)
            size += len(content)
    return size


def read_packets(path: Path, with_content: bool = True) -> Iterator[StoredPacket]:
    """Reads a segment.

    Raises:
        UserError: The file is damaged.
    """
    with path.open('rb') as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f'{path} is no segment; remove it, and run again.')
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise UserError(f'{path} is cut; remove it, and run again.')
            pts, size, is_keyframe = _HEAD.unpack(head)
            if with_content:
                yield StoredPacket(pts, is_keyframe, size, file.read(size))
            else:
                file.seek(size, 1)
                yield StoredPacket(pts, is_keyframe, size)
