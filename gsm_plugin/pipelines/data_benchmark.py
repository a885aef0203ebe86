"""Measures how fast a training set is read, for different numbers of worker processes, without any network."""

import multiprocessing
import os
import time
from argparse import Namespace
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader, Dataset, RandomSampler

from gsm_plugin.compat.bad_samples import Samples
from gsm_plugin.data.checks import check_datasets
from gsm_plugin.errors import UserError
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.paths import check_paths, expand_paths
from gsm_plugin.options.reading import force_options, read_options
from gsm_plugin.pipelines.finishing import set_names_and_folders

_LEAST_BATCHES = 3


@dataclass(frozen=True)
class Loading:
    """How a training set was read.

    Attributes:
        workers: Number of worker processes; with 0, the training process reads itself.
        samples_per_s: Samples a second, once the workers are at work.
        wait_s: How long a step waits for its batch, seconds, where a step takes `step_s`.
        step_s: That time.
        start_s: How long the first batch takes, the start of the workers included.
        memory_gib: Of this process and its workers together when the measurement begins, and when it ends; None where
            the system does not tell.
    """

    workers: int
    samples_per_s: float
    wait_s: float
    step_s: float
    start_s: float
    memory_gib: tuple[float, float] | None

    @property
    def wait_share(self) -> float:
        """Which part of the time of a step is waiting."""
        return self.wait_s / (self.wait_s + self.step_s)


def open_training_set(arguments: Namespace, root: str) -> tuple[Samples, dict]:
    """Builds the training set of an option file, and nothing else of it.

    Args:
        arguments: `opt`, the file, and `force_yml`.
        root: Where a training would write.

    Returns:
        The set and its section of the options.

    Raises:
        UserError: The file or the data is wrong.
    """
    options = read_options(arguments.opt)
    force_options(options, arguments.force_yml or [])
    options['path'] = options.get('path') or {}
    check_option_file(options, is_train=True)
    if 'train' not in options['datasets']:
        raise UserError(f'{arguments.opt} has no datasets:train, which is what is measured.')
    options['datasets'] = {'train': options['datasets']['train']}
    set_names_and_folders(options, root, is_train=True, debug=False, auto_resume=False)
    only = {key: options[key] for key in ('datasets', 'path', 'scale') if key in options}
    only['path'] = {}
    expand_paths(only)
    check_paths(only, resumes=False)
    check_datasets(options)
    section = options['datasets']['train']
    return build_dataset(section), section


def measure_loading(dataset: Samples, section: dict, workers: int, seconds: float, step_s: float = 0.0) -> Loading:
    """Reads random batches for a while.

    Args:
        dataset: The set.
        section: Its options: batch_size_per_gpu and pin_memory.
        workers: Number of worker processes.
        seconds: For how long, after the first batches; at least three batches are read.
        step_s: How long each step takes, during which the workers go on reading.
    """
    # Other samples for each number of workers: those of the one before are in the system's memory.
    generator = torch.Generator().manual_seed(workers)
    loader = DataLoader(
        # all that it asks of a set is its length and its items
        cast(Dataset, dataset),
        batch_size=section['batch_size_per_gpu'],
        sampler=RandomSampler(dataset, replacement=True, num_samples=2**40, generator=generator),
        num_workers=workers,
        pin_memory=section.get('pin_memory', False) and torch.cuda.is_available(),
    )
    started = time.perf_counter()
    with closing(_batches(loader)) as batches:
        next(batches)
        start_s = time.perf_counter() - started
        for _ in range(workers):
            next(batches)
        before = memory_gib()
        waits = _wait_for_batches(batches, seconds, step_s)
        after = memory_gib()
        memory = None if before is None or after is None else (before, after)
    wait_s = sum(waits) / len(waits)
    # Without a step to do meanwhile, the wait is the time that a batch takes.
    speed = section['batch_size_per_gpu'] / (wait_s + step_s)
    return Loading(workers, speed, wait_s, step_s, start_s, memory)


def forget_files(section: dict) -> int:
    """Asks the system to drop the data set from its memory, so that the disk is measured; Linux does so.

    Args:
        section: The options of the set.

    Returns:
        Number of files.
    """
    count = 0
    roots = [section[key] for key in section if str(key).startswith('dataroot') and section[key]]
    for part in (section.get('parts') or {}).values():
        count += forget_files(part)
    for root in roots:
        for path in Path(root).rglob('*'):
            if path.is_file():
                with path.open('rb') as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                count += 1
    return count


def memory_gib() -> float | None:
    """Memory of this process and its workers, what they share counted once; None where the system does not tell.

    Files do not count, for the pages of an LMDB that was read stay only as long as nobody needs their place.
    """
    total = 0
    for process in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        try:
            lines = Path(f'/proc/{process}/smaps_rollup').read_text(encoding='utf-8').splitlines()
        except OSError:
            return None
        total += sum(int(line.split()[1]) for line in lines if line.startswith(('Pss_Anon:', 'Pss_Shmem:')))
    return total / 2**20


def _batches(loader: DataLoader) -> Generator[dict, None, None]:
    """The batches; closing it ends the workers, which an iterator that nobody holds does."""
    yield from loader


def _wait_for_batches(batches: Iterator[dict], seconds: float, step_s: float) -> list[float]:
    waits: list[float] = []
    end = time.perf_counter() + seconds
    while len(waits) < _LEAST_BATCHES or time.perf_counter() < end:
        if step_s:
            time.sleep(step_s)
        before = time.perf_counter()
        next(batches)
        waits.append(time.perf_counter() - before)
    return waits
