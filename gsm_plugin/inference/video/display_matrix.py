"""How a film is turned for display, written into a finished MP4 or QuickTime file, for which PyAV has no call."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gsm_plugin.errors import UserError

_NESTED = (b'moov', b'trak', b'mdia')
# Bytes of a track header before its matrix, by version, counted from the start of its content.
_MATRIX_AT = {0: 40, 1: 52}


def write_matrix(path: Path, matrix: tuple[int, ...]) -> None:
    """Sets the display matrix of the first video track.

    Args:
        path: An MP4 or QuickTime file.
        matrix: Nine numbers in the file format's fixed point, as FFmpeg hands them out.

    Raises:
        UserError: The file has no video track.
    """
    with path.open('r+b') as file:
        header = None
        for name, start, _ in _boxes(file, 0, path.stat().st_size):
            if name == b'tkhd':
                header = start
            elif name == b'hdlr' and header is not None:
                file.seek(start + 8)
                if file.read(4) == b'vide':
                    file.seek(header)
                    version = file.read(1)[0]
                    file.seek(header + _MATRIX_AT[version])
                    file.write(struct.pack('>9i', *matrix))
                    return
    raise UserError(f'{path} has no video track to turn.')


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte of the content and end of every box, those in boxes after the one around them."""
    while start + 8 <= stop:
        file.seek(start)
        size, name = struct.unpack('>I4s', file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack('>Q', file.read(8))[0], 16
        end = start + size if size else stop
        if end <= start:
            return
        yield name, start + head, end
        if name in _NESTED:
            yield from _boxes(file, start + head, end)
        start = end
