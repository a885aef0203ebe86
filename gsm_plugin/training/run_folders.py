"""The folders of a run: an earlier run's are renamed, never overwritten, and only when the new one is sure to begin."""

import os
from collections.abc import Iterable
from pathlib import Path

from basicsr.utils import get_root_logger, get_time_str

from gsm_plugin.errors import UserError


def set_aside(folder: Path) -> None:
    """Renames a folder that is there to `<name>_archived_<time>`, as BasicSR does; a taken name gets a number."""
    if not folder.exists():
        return
    name = f'{folder.name}_archived_{get_time_str()}'
    number = 1
    while (target := folder.with_name(name if number == 1 else f'{name}_{number}')).exists():
        number += 1
    folder.rename(target)
    get_root_logger().info(f'{folder} was there; it is {target} now.')


def make_folders(folders: Iterable[str | Path]) -> None:
    """Makes folders that may be there already.

    Raises:
        UserError: One of them cannot be made.
    """
    for folder in folders:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise UserError(_cannot_write(folder, error.strerror)) from error


def check_writable(folder: str | Path) -> None:
    """Refuses a folder in which nothing can be written, whether it is there or is to be made; makes nothing.

    Raises:
        UserError: Neither it nor the first folder above it that is there can be written.
    """
    place = Path(os.path.abspath(folder))
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise UserError(_cannot_write(folder, f'{place} is a file'))
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(_cannot_write(folder, f'no permission for {place}'))


def _cannot_write(folder: str | Path, reason: str | None) -> str:
    return f'{folder} cannot be written ({reason}); start in a folder that you may write to, or change its permissions.'
