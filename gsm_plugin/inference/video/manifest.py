"""What a long job left behind when it was interrupted, and whether it may go on from there."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole

_NAME, _SEGMENT = 'manifest.json', 'segment_'
_BLOCK, _BLOCKS = 2**16, 64


class Workplace:
    """The folder beside the output in which finished segments wait; see `opened_workplace`.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def segment(self, number: int) -> Path:
        """The file of a segment, which is there when the segment is finished."""
        return self.folder / f'{_SEGMENT}{number:06d}'

    def remove(self) -> None:
        """Ends the job."""
        shutil.rmtree(self.folder)


def check_workplace(out: Path) -> None:
    """Refuses an output whose workplace would be a folder of the user's own.

    Raises:
        UserError: It is.
    """
    folder = _folder_of(out)
    foreign = next((path for path in folder.glob('*') if not path.name.startswith((_NAME, _SEGMENT))), None)
    if foreign is not None:
        raise UserError(f'{folder} is for pieces of the output, but has {foreign.name}; rename it, or {out.name}.')


def opened_workplace(out: Path, settings: dict[str, str], restart: bool) -> Workplace:
    """The workplace of an output, new or as an interrupted run left it.

    Args:
        out: The final file or folder.
        settings: All that the output depends on, by name.
        restart: Whether to throw away what is there.

    Raises:
        UserError: Finished segments are there that were made with other settings.
    """
    folder = _folder_of(out)
    if restart or not has_finished_segments(out):
        shutil.rmtree(folder, ignore_errors=True)
    path = folder / _NAME
    if path.is_file():
        _compare(_read(path), settings, folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_whole(path, json.dumps(settings, indent=2).encode())
    return Workplace(folder)


def left_settings(out: Path) -> dict[str, str]:
    """The settings of an interrupted run of an output; none where there is nothing to go on from."""
    path = _folder_of(out) / _NAME
    return _read(path) if path.is_file() and has_finished_segments(out) else {}


def has_finished_segments(out: Path) -> bool:
    """Whether there is anything of an output to go on from."""
    return any(path.name.removeprefix(_SEGMENT).isdecimal() for path in _folder_of(out).glob(f'{_SEGMENT}*'))


def film_fingerprint(path: Path) -> str:
    """Size and a hash of blocks all over a file, or of the names, sizes and times of the files of a folder."""
    digest = hashlib.blake2b(digest_size=16)
    if path.is_dir():
        for file in sorted(file for file in path.iterdir() if file.is_file()):
            status = file.stat()
            # names need not be text
            digest.update(os.fsencode(file.name) + f' {status.st_size} {status.st_mtime_ns}\n'.encode())
        return digest.hexdigest()
    size = path.stat().st_size
    with path.open('rb') as film:
        for place in sorted({max(0, size - _BLOCK) * i // (_BLOCKS - 1) for i in range(_BLOCKS)}):
            film.seek(place)
            digest.update(film.read(_BLOCK))
    return f'{size} {digest.hexdigest()}'


def _folder_of(out: Path) -> Path:
    return out.with_name(f'{out.name}.segments')


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f'{path} is damaged; give --restart to begin anew.')
    return content


def _compare(old: dict, new: dict, folder: Path) -> None:
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            raise UserError(
                f'{folder} is of a run with other settings ({name}: {old.get(name)}, now {new.get(name)}); '
                f'give the same ones to go on, or --restart to begin anew.'
            )
