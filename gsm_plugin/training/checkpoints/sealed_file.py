"""Files of `torch.save` that are written whole or not at all, and that tell whether they still are what was written.

`torch.save` makes zip archives. The checksum is the archive's comment, so BasicSR and everything else that reads such
files reads these too.
"""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from gsm_plugin.files import write_whole

SEALED_KEY = 'sealed_by'
"""A dictionary with this key is not believed without its checksum."""

_MARK = b'gsm_plugin sha256 '
_SEAL_BYTES = len(_MARK) + 2 * hashlib.sha256().digest_size
# The last record of a zip archive without comment: its signature, and two bytes at its end for a comment's length.
_LAST_RECORD, _LAST_RECORD_BYTES = b'PK\x05\x06', 22


class DamagedFile(Exception):
    """A file is not what was written, or was never of this kind. Its text is half a sentence, such as 'it is empty'."""


def write_sealed(path: Path, content: object) -> None:
    """Writes a file with `torch.save` and a checksum; after a crash at any moment there is the old one or the new one.

    Args:
        path: The file; its folder exists.
        content: What `torch.save` takes.

    Raises:
        OSError: It cannot be written, for example because the disk is full; what was there before is still there.
    """
    write_whole(path, _seal(content))


def read_sealed(path: Path) -> Any:
    """Reads a file without executing anything in it; one that has no checksum is read too, if it is whole.

    Args:
        path: The file.

    Returns:
        What was saved, tensors on the CPU.

    Raises:
        DamagedFile: It is cut off, altered, no file of `torch.save`, or would have to run code.
        OSError: The disk does not give it.
    """
    content = path.read_bytes()
    if not content:
        raise DamagedFile('it is empty')
    sealed = _is_sealed(content)
    try:
        value = torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        code = 'it holds more than tensors and plain values, which is not read because that could run code'
        raise DamagedFile(code if sealed else f'it is cut off or damaged, or {code}') from error
    except Exception as error:
        raise DamagedFile(f'it is cut off or damaged ({type(error).__name__})') from error
    if not sealed and isinstance(value, dict) and SEALED_KEY in value:
        raise DamagedFile('its checksum is gone')
    return value


def _seal(content: object) -> memoryview:
    # In memory first: a full disk is then an error of plain writing, and nothing of PyTorch's is left in between.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    end = buffer.getbuffer()[-_LAST_RECORD_BYTES:].tobytes()
    if not end.startswith(_LAST_RECORD) or end[-2:] != b'\0\0':
        raise RuntimeError('torch.save no longer ends its files as a zip archive without comment.')
    buffer.seek(-2, os.SEEK_END)
    buffer.write(_SEAL_BYTES.to_bytes(2, 'little'))
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.write(_MARK + digest.encode('ascii'))
    return buffer.getbuffer()


def _is_sealed(content: bytes) -> bool:
    """Whether there is a checksum, which then fits."""
    body, seal = memoryview(content)[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if not seal.startswith(_MARK):
        return False
    if hashlib.sha256(body).hexdigest().encode('ascii') != seal[len(_MARK) :]:
        raise DamagedFile('it is damaged: its checksum is another one')
    return True
