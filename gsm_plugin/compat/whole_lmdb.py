"""LMDB maps its file into memory, so that one byte read beyond the end of a file that was cut off kills the process.

The file itself says how many pages it has, and BasicSR does not compare.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.errors import UserError

if TYPE_CHECKING:
    from lmdb import Environment


def patch(file_client: ModuleType) -> None:
    """Lets BasicSR's backend refuse a database that is cut off."""
    original = file_client.LmdbBackend.__init__

    @replaces(file_client.LmdbBackend)
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        for environment in self._client.values():
            require_whole(environment)


def require_whole(environment: Environment) -> None:
    """Refuses an open database whose file is shorter than it has to be.

    Args:
        environment: What `lmdb.open` gave.

    Raises:
        UserError: The file is cut off.
    """
    file = os.path.join(environment.path(), 'data.mdb')
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    present = os.path.getsize(file)
    if present < needed:
        raise UserError(f'{file} is cut off: it has {present} of {needed} bytes; copy or make it again.')
