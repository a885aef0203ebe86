"""The list of images that BasicSR keeps inside each of its LMDBs: lines `000/00000000.png (720,1280,3) 1`."""

import re
from pathlib import Path

from gsm_plugin.errors import UserError

LIST_NAME = 'meta_info.txt'
_FORM = '000/00000000.png (720,1280,3) 1'


def read_lmdb_list(folder: str | Path) -> dict[str, tuple[int, int, int]]:
    """Reads which images an LMDB holds, without opening it.

    Args:
        folder: The LMDB.

    Returns:
        Height, width and channels of each image, keyed by its key in the database.

    Raises:
        UserError: The list is missing, or a line has another form.
    """
    path = Path(folder) / LIST_NAME
    if not path.is_file():
        raise UserError(f'{folder} is no LMDB of BasicSR, without {LIST_NAME}; set io_backend:type disk for folders.')
    listed = {}
    for number, line in enumerate(path.read_text(encoding='utf-8', errors='replace').splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r'(.+)\.\w+ \((\d+),(\d+),(\d+)\) \d+', line.strip())
        if match is None:
            raise UserError(f'{path}, line {number} is {line.strip()!r}, not "{_FORM}"; make the LMDB again.')
        listed[match[1]] = int(match[2]), int(match[3]), int(match[4])
    return listed


def lmdb_list_text(shapes: dict[str, tuple[int, int, int]], compress_level: int) -> str:
    """Writes the list.

    Args:
        shapes: Height, width and channels of each image by key.
        compress_level: The level that the PNGs are compressed with.
    """
    return ''.join(f'{key}.png ({h},{w},{c}) {compress_level}\n' for key, (h, w, c) in shapes.items())
