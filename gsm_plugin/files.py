"""Files and folders that are there when they are whole, and not before."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.locks import locked

# 255 is what file systems take, and .segments the longest ending.
_LONGEST_NAME = 255 - len('.segments')
_RECORD = 'made_from.txt'


def refuse_existing(out: Path) -> None:
    """Refuses a place that is taken.

    Raises:
        UserError: `out` exists.
    """
    if out.exists():
        raise UserError(f'{out} exists; remove it, or name another place.')


def check_place(out: Path) -> None:
    """Refuses a place where no file can be written; nothing is left there.

    Raises:
        UserError: There is no such folder, it cannot be written, or `out` exists.
    """
    if not out.parent.is_dir():
        raise UserError(f'{out} cannot be written, since there is no folder {out.parent}; make it first.')
    refuse_existing(out)
    part = part_of(out)
    try:
        part.touch()
    except OSError as error:
        raise UserError(f'{out} cannot be written ({error.strerror}); name another place.') from error
    part.unlink()


def check_writable(path: Path, flag: str) -> None:
    """Refuses a place where no file or folder can be made; what lies above it may still be missing.

    Args:
        path: The place.
        flag: What names it.

    Raises:
        UserError: What is above it is no folder, or is closed, or links lead in a circle.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f'{path} cannot be written: its links lead in a circle; give another {flag}.') from error
    folder = path.resolve().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f'{path} cannot be written, for {folder} is no folder; give another {flag}.')
    try:
        # of no name; rights alone do not tell of folders of the kernel, and of what is mounted to be read
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f'{path} cannot be written, for nothing can be made in {folder} ({error.strerror}); give another {flag}.'
        ) from error


def check_name(path: Path, flag: str) -> None:
    """Refuses names that are too long for file systems, with what is put behind them while work goes on.

    Args:
        path: The place.
        flag: What names it.

    Raises:
        UserError: A name in it is too long.
    """
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > _LONGEST_NAME:
        raise UserError(f'{flag} has a name of {longest} bytes; give one of at most {_LONGEST_NAME}.')


HTML_PAGE, JSON_REPORT, CURVES = b'<!doctype html', b'"machine"', b'basicsr plot'
"""What is found at the beginning of pages, reports and pictures of curves that commands write."""


def check_replaceable(path: Path, flag: str, mark: bytes) -> None:
    """Refuses to replace what is no earlier file of the same kind.

    Args:
        path: The place; what is there may be replaced where it begins as files of that kind do.
        flag: What names it.
        mark: `HTML_PAGE`, `JSON_REPORT` or `CURVES`.

    Raises:
        UserError: There is something else.
    """
    if path.is_dir():
        raise UserError(f'{path} is a folder; give the name of a file by {flag}.')
    if path.exists() and not (path.is_file() and mark in _beginning(path)):
        raise UserError(f'{path} is there, and nothing that {flag} has written; give another {flag}.')


def _beginning(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(128).lower()


def part_of(out: Path) -> Path:
    """The sibling in which `out` is built: the same name with `.part` at its end."""
    return out.with_name(f'{out.name}.part')


@contextmanager
def whole_or_nothing(out: Path) -> Iterator[Path]:
    """A folder to build in, which becomes `out` at the end and is removed on any error or interruption.

    What a killed process left there is removed at the beginning.

    Raises:
        UserError: `out` exists, or another process builds it.
    """
    with _own(out) as part:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        publish(part, out)


@contextmanager
def resumed_folder(out: Path, record: bytes) -> Iterator[Path]:
    """A folder to build in step by step, which becomes `out` at the end and stays on any error or interruption.

    It is as an interrupted run left it, or empty.

    Args:
        out: The final folder.
        record: Tells what the work is; what was left by work with another record is removed.

    Raises:
        UserError: `out` exists, or another process builds it.
    """
    with _own(out) as part:
        path = part / _RECORD
        if not path.is_file() or path.read_bytes() != record:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            write_whole(path, record)
        yield part
        path.unlink()
        publish(part, out)


@contextmanager
def _own(out: Path) -> Iterator[Path]:
    """Where `out` is built, by no other process meanwhile."""
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out):
        # one that held the lock until now may have made it
        refuse_existing(out)
        yield part_of(out)


def fingerprint(title: str, files: dict[str, Path]) -> bytes:
    """Tells whether work is the same as that of an interrupted run, without reading what it works on.

    Args:
        title: What is done.
        files: The files that it is done with, by name.
    """
    digest = hashlib.sha256(f'{title}\n'.encode())
    for name, path in files.items():
        status = path.stat()
        digest.update(f'{name} {path.suffix} {status.st_size} {status.st_mtime_ns}\n'.encode())
    return digest.hexdigest().encode()


def publish(part: Path, out: Path) -> None:
    """Renames a folder to its final name, after all that is in it is on the disk."""
    if hasattr(os, 'sync'):
        os.sync()
    part.replace(out)
    _sync_folder(out.parent)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Writes a file that has all of its content or does not appear under its name.

    Args:
        path: The file; one that is there is replaced.
        content: What it is to hold.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write, which gets the name `path` at the end and is removed on any error or interruption.

    Args:
        path: The file; one that is there is replaced.
    """
    part = part_of(path)
    try:
        yield part
        publish_file(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # a full disk does not say where it was met
            error.filename = str(path)
        raise


@contextmanager
def folder_for(path: Path) -> Iterator[None]:
    """Makes the folder of a file that is to come; those that are new are removed on an error, if nothing is in them.

    Args:
        path: The file.

    Raises:
        UserError: No folder can be there.
    """
    new = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # as /proc and /sys have it
        raise UserError(f'No folder can be made at {error.filename}; name another place.') from error
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise


def publish_file(part: Path, path: Path) -> None:
    """Renames a file to its final name, after its content is on the disk."""
    with part.open('rb+') as file:
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last through a power failure; Windows opens no folders."""
    if os.name == 'posix':
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
