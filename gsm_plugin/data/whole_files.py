"""Files and folders that are there when they are whole, and not before."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsm_plugin.compat import UserError


def refuse_existing(out: Path) -> None:
    """Refuses a place that is taken.

    Raises:
        UserError: `out` exists.
    """
    if out.exists():
        raise UserError(f'{out} exists; remove it, or name another place.')


def part_of(out: Path) -> Path:
    """The sibling in which `out` is built: the same name with `.part` at its end."""
    return out.with_name(f'{out.name}.part')


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """A folder to build in, which becomes `out` at the end and is removed on any error or interruption.

    What a killed process left there is removed at the beginning.
    """
    part = part_of(out)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    publish(part, out)


def publish(part: Path, out: Path) -> None:
    """Renames a folder to its final name, after all that is in it is on the disk."""
    if hasattr(os, 'sync'):
        os.sync()
    part.replace(out)
    _sync_folder(out.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that has all of its content or does not appear under its name.

    Args:
        path: The file; one that is there is replaced.
        content: What it is to hold.
    """
    part = part_of(path)
    try:
        with part.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last through a power failure; Windows opens no folders."""
    if os.name == 'posix':
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
