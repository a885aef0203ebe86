"""Writing an LMDB of BasicSR's layout: PNGs under keys such as `000/00000000`, and their list in meta_info.txt."""

from pathlib import Path

import cv2
import lmdb
import numpy as np

from gsm_plugin.compat.image_files import header_of
from gsm_plugin.data.lmdb_list import LIST_NAME, lmdb_list_text
from gsm_plugin.errors import UserError
from gsm_plugin.files import write_whole

# BasicSR's own: larger files than at higher levels, but quick to write.
PNG_LEVEL = 1
# What is written at once; a killed process loses no more than this.
_BATCH_BYTES = 2**26
_BATCH_IMAGES = 1000
# Windows makes the file as large as the map, so it grows with what is in it rather than being far too large at once.
_MAP_STEP = 2**28


class LmdbWriter:
    """Fills a database, from where an earlier writer was stopped if there was one.

    Use it in a `with` statement; `finish` writes the list, without which BasicSR's loaders and ours take no database.

    Args:
        folder: Folder of the database.
        batch_bytes: How many bytes of images are written at once, if it is not 1000 images before.
        map_step: By how many bytes at least the map grows when it is full.

    Attributes:
        count: Number of images that are written to the disk.

    Raises:
        UserError: The database cannot be opened.
    """

    def __init__(self, folder: Path, batch_bytes: int = _BATCH_BYTES, map_step: int = _MAP_STEP):
        self._folder = folder
        self._batch_bytes = batch_bytes
        self._map_step = map_step
        self._waiting: dict[str, bytes] = {}
        self._waiting_bytes = 0
        try:
            self._environment = lmdb.open(str(folder), map_size=map_step)
        except lmdb.Error as error:
            raise UserError(f'{folder} cannot be opened ({error}); remove it, or write to a local disk.') from error
        self.count: int = self._environment.stat()['entries']

    def __enter__(self) -> 'LmdbWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.close()

    def put(self, key: str, content: bytes) -> None:
        """Adds an image.

        Args:
            key: Its key.
            content: The bytes of a PNG file.

        Raises:
            UserError: The key is there already, or another process writes to the same database.
        """
        if key in self._waiting:
            raise _taken(key, self._folder)
        self._waiting[key] = content
        self._waiting_bytes += len(content)
        if self._waiting_bytes >= self._batch_bytes or len(self._waiting) == _BATCH_IMAGES:
            self._write_waiting()

    def finish(self, keys: list[str]) -> None:
        """Writes what is waiting, and the list.

        Args:
            keys: All keys, in the order in which the list is to name them.
        """
        self._write_waiting()
        with self._environment.begin(buffers=True) as transaction:
            shapes = {key: header_of(transaction.get(key.encode(), b''), key).shape for key in keys}
        write_whole(self._folder / LIST_NAME, lmdb_list_text(shapes, PNG_LEVEL).encode())

    def _write_waiting(self) -> None:
        while not self._try_to_write():
            size = self._environment.info()['map_size']
            self._environment.set_mapsize(size + max(self._map_step, size // 4))
        self.count += len(self._waiting)
        self._waiting, self._waiting_bytes = {}, 0

    def _try_to_write(self) -> bool:
        try:
            with self._environment.begin(write=True) as transaction:
                if transaction.stat()['entries'] != self.count:
                    raise UserError(f'another process writes to {self._folder}; wait for it, or stop it.')
                for key, content in self._waiting.items():
                    if not transaction.put(key.encode(), content, overwrite=False):
                        raise _taken(key, self._folder)
        except (lmdb.MapFullError, lmdb.MapResizedError):
            return False
        except lmdb.Error as error:
            raise UserError(f'{self._folder} cannot be written ({error}); make room, and run again.') from error
        return True


def encode_png(image: np.ndarray) -> bytes:
    """Encodes an image as BasicSR's LMDBs have it: (h, w), (h, w, 3) or (h, w, 4), uint8 or uint16, BGR."""
    return cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()


def _taken(key: str, folder: Path) -> UserError:
    return UserError(f'two images have the key {key} in {folder}; rename one of them.')
