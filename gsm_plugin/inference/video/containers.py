"""Opens containers through PyAV, so that titles and the like go on byte for byte, also those that are no UTF-8."""

from pathlib import Path
from typing import IO, Any

import av


def open_input(file: Path | IO[bytes], name: str | None = None) -> av.container.InputContainer:
    """Opens a film to read it.

    Args:
        file: The film.
        name: FFmpeg's name of its container; None for what it looks like.

    Raises:
        av.FFmpegError: It is nothing that FFmpeg knows.
        ValueError: Likewise.
    """
    return av.open(_place(file), format=name, **_bytes_stay())


def open_output(
    file: Path | IO[bytes], name: str, options: dict[str, str] | None = None
) -> av.container.OutputContainer:
    """Opens a film to write it.

    Args:
        file: Where it goes.
        name: FFmpeg's name of its container.
        options: Of the container.

    Raises:
        av.FFmpegError: FFmpeg refuses it.
        ValueError: There is no such container.
    """
    return av.open(_place(file), 'w', format=name, options=options, **_bytes_stay())


def _place(file: Path | IO[bytes]) -> str | IO[bytes]:
    # FFmpeg takes what stands before a colon for a protocol, but not behind a slash
    return str(file.absolute()) if isinstance(file, Path) else file


def _bytes_stay() -> dict[str, Any]:
    """What PyAV up to 18 has to be told, which raises otherwise; from 19 on it keeps such bytes and takes no word."""
    known = hasattr(av.container.InputContainer, 'metadata_errors')
    return {'metadata_errors': 'surrogateescape'} if known else {}
