"""Verifying an LMDB: every image that its list names, to the last byte.

LMDB trusts its file, so that a damaged one can kill the process that reads it; therefore other processes read it.
"""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

import lmdb
from tqdm import tqdm

from gsm_plugin.data.lmdb_list import LIST_NAME, read_lmdb_list
from gsm_plugin.data.parallel import default_workers
from gsm_plugin.data.tools.images import inspect_image
from gsm_plugin.errors import UserError

Shape = tuple[int, int, int]

_DATA_NAME = 'data.mdb'
_CHUNK = 64
_CURE = 'copy it again, or make it again with basicsr data lmdb create'

# The environment of a worker, which must not be shared with another process.
_worker: dict[str, lmdb.Environment] = {}


def verify_lmdb(folder: Path, workers: int | None = None) -> list[str]:
    """Looks for what is wrong with an LMDB of BasicSR's layout.

    Args:
        folder: The LMDB.
        workers: Number of processes that read it.

    Returns:
        One sentence for everything that is wrong: images that are missing, damaged, of another size than the list
        says, or not listed; a file that is cut.

    Raises:
        UserError: It is no LMDB: the file or the list is missing, or the list does not parse.
    """
    if not (folder / _DATA_NAME).is_file():
        raise UserError(f'{folder} has no {_DATA_NAME}, so it is no LMDB; name the folder that ends in .lmdb.')
    listed = read_lmdb_list(folder)
    context = multiprocessing.get_context('spawn')
    try:
        with ProcessPoolExecutor(workers or default_workers(), context, _open_in_worker, (str(folder),)) as pool:
            return [*pool.submit(_compare_number, list(listed)).result(), *_inspect_all(pool, listed, folder.name)]
    except BrokenProcessPool:
        return [f'{folder / _DATA_NAME} is damaged or cut, so that a process which read it had to end; {_CURE}.']


def _inspect_all(pool: ProcessPoolExecutor, listed: dict[str, Shape], title: str) -> list[str]:
    items = iter(listed.items())
    chunks = iter(lambda: list(islice(items, _CHUNK)), [])
    futures = {pool.submit(_inspect_chunk, chunk): number for number, chunk in enumerate(chunks)}
    found: dict[int, list[str]] = {}
    with tqdm(desc=title, total=len(listed), unit='image') as bar:
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            bar.update(min(_CHUNK, len(listed) - bar.n))
    return [sentence for number in sorted(found) for sentence in found[number]]


def _open_in_worker(folder: str) -> None:
    try:
        _worker[folder] = lmdb.open(folder, readonly=True, lock=False, readahead=False, meminit=False)
    except lmdb.Error:
        # Without a clean-up: the pool takes a worker that is gone for a damaged file, which it is.
        os._exit(1)


def _compare_number(keys: list[str]) -> list[str]:
    """Compares the number of images with the list, and names those that the list does not have."""
    ((folder, environment),) = _worker.items()
    number = environment.stat()['entries']
    if number <= len(keys):
        return []
    with environment.begin() as transaction:
        # A damaged tree may have circles, so no more than its own number is taken.
        present = {bytes(key) for key in islice(transaction.cursor().iternext(values=False), number)}
    unlisted = sorted(present - {key.encode() for key in keys})
    name = unlisted[0].decode(errors='replace') if unlisted else 'unknown'
    return [f'{folder} has {number} images, but {LIST_NAME} lists {len(keys)}, without {name} for one; {_CURE}.']


def _inspect_chunk(chunk: list[tuple[str, Shape]]) -> list[str]:
    ((folder, environment),) = _worker.items()
    return list(_inspect_images(environment, folder, chunk))


def _inspect_images(environment: lmdb.Environment, folder: str, chunk: list[tuple[str, Shape]]) -> Iterator[str]:
    for key, shape in chunk:
        try:
            with environment.begin() as transaction:
                content = transaction.get(key.encode())
        except lmdb.Error as error:
            yield f'key {key} of {folder} cannot be read ({error}); {_CURE}.'
            continue
        if content is None:
            yield f'key {key} of {folder} is missing, though {LIST_NAME} lists it; {_CURE}.'
            continue
        try:
            actual = inspect_image(content, f'key {key} of {folder}').header.shape
        except UserError as error:
            yield str(error)
            continue
        if actual != shape:
            yield f'key {key} of {folder} has the shape {actual}, but {LIST_NAME} says {shape}; {_CURE}.'
