"""Keeps two processes from writing the same output at once.

The lock is the kernel's (flock, which NFS hands on to its server), on a file beside the output. It ends with its
process, however that ends. What stands in the file is for people: process numbers repeat in containers.
"""

import errno
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gsm_plugin.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_logger = logging.getLogger('basicsr.gsm_plugin')
_HELD, _UNKNOWN = (errno.EAGAIN, errno.EACCES), (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# Whoever only looks holds the lock for a moment.
_TRIES, _PAUSE_S = 5, 0.05
_open_handles: set[int] = set()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps other processes from writing an output while the block runs.

    Args:
        out: The file or folder that is to come, in a folder that is there.

    Raises:
        UserError: Another process writes it, or nothing can be written there.
    """
    path = lock_of(out)
    handle = _acquire(path, out)
    try:
        os.ftruncate(handle, 0)
        since = time.strftime('%Y-%m-%d %H:%M:%S %z')
        os.write(handle, json.dumps({'pid': os.getpid(), 'host': socket.gethostname(), 'since': since}).encode())
        yield
    finally:
        # while it is held, so that the file of the next one is not removed
        path.unlink(missing_ok=True)
        _close(handle)


def refuse_locked(out: Path) -> None:
    """Refuses an output that another process writes now; nothing is written.

    Raises:
        UserError: There is one.
    """
    path = lock_of(out)
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        # none is there, or whoever writes says that it cannot
        return
    try:
        _lock(handle, path, out)
    finally:
        os.close(handle)


def lock_of(out: Path) -> Path:
    """The sibling that is locked: the same name with `.lock` at its end."""
    return out.with_name(f'{out.name}.lock')


def _acquire(path: Path, out: Path) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f'{path} cannot be written ({error.strerror}); name another place.') from error
        _open_handles.add(handle)
        try:
            _lock(handle, path, out)
        except BaseException:
            _close(handle)
            raise
        if _is_at(path, handle):
            return handle
        # its last holder has removed it since it was opened
        _close(handle)


def _lock(handle: int, path: Path, out: Path) -> None:
    """Locks an open file, which may be locked already.

    Raises:
        UserError: Another process has locked it.
    """
    if fcntl is None:
        _warn(out, 'this system has no flock')
        return
    for attempt in range(_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno in _UNKNOWN:
                _warn(out, error.strerror)
                return
            if error.errno not in _HELD:
                raise
        if attempt + 1 < _TRIES:
            time.sleep(_PAUSE_S)
    raise UserError(
        f'{out} is being written by {_holder(path)}; wait until it has ended, stop it, or name another place.'
    )


def _warn(out: Path, reason: str | None) -> None:
    _logger.warning(f'{out} cannot be locked ({reason}), so see to it yourself that no other process writes it.')


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(path.read_text(encoding='utf-8'))
        return f'process {told["pid"]} on {told["host"]} since {told["since"]}'
    # it is about to say who it is
    return 'another process'


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _close(handle: int) -> None:
    _open_handles.discard(handle)
    os.close(handle)


def _forget() -> None:
    """Closes locks in a process that was forked, which would keep them when its parent is killed."""
    for handle in _open_handles:
        os.close(handle)
    _open_handles.clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget)
