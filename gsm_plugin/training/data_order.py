"""Which clips a training sees when, and how they are augmented: a function of the seed and the position alone."""

import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from basicsr.data import build_dataset
from basicsr.data.prefetch_dataloader import CUDAPrefetcher
from basicsr.utils import get_root_logger
from torch.utils.data import DataLoader, Dataset, Sampler

from gsm_plugin.compat.bad_samples import Samples
from gsm_plugin.errors import UserError
from gsm_plugin.processors import count_processors
from gsm_plugin.training.randomness import mixed_seed, seeded
from gsm_plugin.training.stopping import STOP_SIGNALS

# Streams of randomness that must not meet.
_ORDER, _SAMPLE = 1, 2


@dataclass
class Position:
    """Where a training is.

    Attributes:
        iteration: Iterations done.
        epoch: Number of the epoch, from 0.
        samples: Samples of the epoch that all processes together have used.
        rollbacks: How often the training went back to a checkpoint; each time it draws another order.
    """

    iteration: int = 0
    epoch: int = 0
    samples: int = 0
    rollbacks: int = 0


class SeededSamples(Dataset[dict]):
    """Gives every sample of a data set randomness of its own, instead of that of the worker which happens to read it.

    BasicSR seeds its workers the same way in each epoch, so that augmentations come again, and a worker's generator
    is where all of its samples so far have brought it.

    Args:
        dataset: The data set; its randomness is that of Python, NumPy or PyTorch.
    """

    def __init__(self, dataset: Samples):
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: tuple[int, ...]) -> dict:
        """Reads a sample by its index, after which come the numbers that its randomness is made of."""
        index, *numbers = key
        with seeded(_SAMPLE, *numbers):
            return self._dataset[index]


class ShuffledBatches(Sampler[list[tuple[int, ...]]]):
    """The batches of this process in an epoch, from any one on, as keys of `SeededSamples`.

    BasicSR's sampler has the same order for every seed, cannot start inside an epoch, and deals out the samples in
    another way for each number of processes. Here a batch of all processes together is the same, however many share it.

    Args:
        clips: Length of the data set.
        enlarge: How often the data set is repeated in an epoch.
        batch_size: Samples of a batch in one process.
        rank: Number of this process.
        world_size: Number of processes.
        seed: The seed of the run.
    """

    def __init__(self, clips: int, enlarge: float, batch_size: int, rank: int, world_size: int, seed: int):
        self.samples = math.ceil(clips * enlarge)
        self.position = Position()
        self._clips = clips
        self._batch_size = batch_size
        self._rank = rank
        self._seed = seed
        self.samples_at_once = batch_size * world_size

    def __len__(self) -> int:
        return self.samples // self.samples_at_once

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        at = self.position
        numbers = self._seed, at.rollbacks, at.epoch
        generator = torch.Generator().manual_seed(mixed_seed(_ORDER, *numbers))
        order = torch.randperm(self.samples, generator=generator)
        for batch in range(at.samples // self.samples_at_once, len(self)):
            first = batch * self.samples_at_once + self._rank * self._batch_size
            places = range(first, first + self._batch_size)
            yield [(int(order[place]) % self._clips, *numbers, place) for place in places]


class TrainingData:
    """The training set of a run, read by worker processes.

    Args:
        options: The finished options of the run, with the seed that all processes share.

    Raises:
        UserError: An epoch has not even one batch.
    """

    def __init__(self, options: dict):
        section = options['datasets']['train']
        self._options = options
        self._prefetch = section.get('prefetch_mode')
        # One process with several GPUs (DataParallel) feeds them all, as in BasicSR.
        gpus = 1 if options['dist'] else max(options['num_gpu'], 1)
        dataset = SeededSamples(build_dataset(section))
        self.clips = len(dataset)
        self.batches_in_order = ShuffledBatches(
            self.clips,
            section.get('dataset_enlarge_ratio', 1),
            section['batch_size_per_gpu'] * gpus,
            options['rank'],
            options['world_size'],
            options['manual_seed'],
        )
        if not len(self.batches_in_order):
            raise UserError(
                f'datasets:train has {self.batches_in_order.samples} samples in an epoch, less than the '
                f'{self.batches_in_order.samples_at_once} of a batch; raise dataset_enlarge_ratio.'
            )
        self._loader = DataLoader(dataset, batch_sampler=self.batches_in_order, **_loading(section, gpus))
        self._reading: Iterator[dict] | None = None

    def first_sample(self) -> dict:
        """A sample, read in this process; it takes no randomness from those of the training."""
        return self._loader.dataset[(0, 0)]

    def batches(self, position: Position) -> Iterator[dict]:
        """The batches of the rest of an epoch.

        Args:
            position: Where to start; not looked at afterwards.
        """
        self.batches_in_order.position = Position(**vars(position))
        if self._prefetch == 'cuda':
            # A new one for each epoch: its reset would start all workers a second time.
            prefetcher = CUDAPrefetcher(self._loader, self._options)
            self._reading = prefetcher.loader
            return iter(prefetcher.next, None)
        self._reading = iter(self._loader)
        return self._reading

    def close(self) -> None:
        """Ends the workers, which leave signals to the run: Python would wait for them for ever after an error."""
        if self._reading is not None and hasattr(self._reading, '_shutdown_workers'):
            self._reading._shutdown_workers()


def _count_workers(section: dict, gpus: int) -> int:
    """As many processes as the option file wants, but no more than there are processors, of which PyTorch warns."""
    wanted, processors = section['num_worker_per_gpu'] * gpus, count_processors()
    if wanted > processors:
        get_root_logger().info(
            f'{processors} process(es) read data instead of the {wanted} of num_worker_per_gpu, since there are no '
            f'more processors; samples and their order stay the same.'
        )
    return min(wanted, processors)


def _loading(section: dict, gpus: int) -> dict:
    workers = _count_workers(section, gpus)
    loading = {
        'num_workers': workers,
        'pin_memory': section.get('pin_memory', False),
        'worker_init_fn': _leave_signals_to_the_run,
        # Without one of its own, a loader draws from the generator that networks draw from.
        'generator': torch.Generator(),
    }
    if workers:
        loading['persistent_workers'] = section.get('persistent_workers', False)
        if section.get('prefetch_mode') == 'cpu':
            # BasicSR's thread waits for ever once a worker fails; workers that read further ahead do the same work.
            loading['prefetch_factor'] = 2 + math.ceil(section.get('num_prefetch_queue', 1) / workers)
    return loading


def _leave_signals_to_the_run(_: int) -> None:
    """Ctrl-C and schedulers signal every process, but the run still needs its workers to finish what it is at."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
