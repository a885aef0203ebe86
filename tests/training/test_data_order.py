import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from gsm_plugin.errors import UserError
from gsm_plugin.training import data_order
from gsm_plugin.training.data_order import Position, SeededSamples, ShuffledBatches, TrainingData
from gsm_plugin.training.randomness import mixed_seed, seed_all, seeded


class Draws(Dataset):
    """Tells which sample was asked for, and what all generators gave for it."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


def order(seed=0, rank=0, world_size=1, batch_size=2, enlarge=1, clips=10, **position):
    batches = ShuffledBatches(clips, enlarge, batch_size, rank, world_size, seed)
    batches.position = Position(**position)
    return batches


def read(batches, workers=0):
    return list(DataLoader(SeededSamples(Draws()), batch_sampler=batches, num_workers=workers))


def test_an_epoch_has_every_sample_once():
    indices = [key[0] for batch in order() for key in batch]
    assert sorted(indices) == list(range(10))
    assert indices != sorted(indices)


def test_an_enlarged_epoch_has_every_sample_so_often():
    indices = [key[0] for batch in order(enlarge=2.5, batch_size=5) for key in batch]
    assert sorted(indices) == sorted([*range(10), *range(10), *range(5)])


@pytest.mark.parametrize('change', [{'seed': 1}, {'epoch': 1}, {'rollbacks': 1}])
def test_order_and_augmentation_are_others(change):
    first, second = torch.cat(read(order())), torch.cat(read(order(**change)))
    assert not torch.equal(first[:, 0], second[:, 0])
    by_sample = [table[table[:, 0].argsort()] for table in (first, second)]
    assert not (by_sample[0][:, 1:] == by_sample[1][:, 1:]).any()


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_change_nothing(workers):
    assert torch.equal(torch.cat(read(order(), workers)), torch.cat(read(order())))


def test_a_rest_of_an_epoch_is_its_end():
    assert torch.equal(torch.cat(read(order(samples=4))), torch.cat(read(order()))[4:])


def test_a_batch_is_shared_out_among_processes():
    whole = read(order(batch_size=4))
    parts = [read(order(batch_size=2, rank=rank, world_size=2)) for rank in range(2)]
    assert len(whole) == 2
    for one, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(one, torch.cat([first, second]))


def test_a_seed_depends_on_every_number_and_on_their_order():
    seeds = [mixed_seed(*numbers) for numbers in ((1, 2), (2, 1), (1, 2, 0), (1, 3), (1,))]
    assert len(set(seeds)) == 5
    assert mixed_seed(1, 2) == 3653944173047565328


def test_generators_are_put_back_after_an_error():
    seed_all(1)
    expected = random.random()
    seed_all(1)
    with pytest.raises(RuntimeError), seeded(2):
        raise RuntimeError
    assert random.random() == expected


def run_options(options, **changes):
    options['datasets']['train'] |= {'phase': 'train', 'scale': 2, **changes}
    return options | {'dist': False, 'rank': 0, 'world_size': 1}


@pytest.mark.usefixtures('project')
def test_an_epoch_without_a_batch_is_refused(options):
    with pytest.raises(UserError, match='has 100 samples in an epoch, less than the 101 of a batch; raise dataset_enl'):
        TrainingData(run_options(options, batch_size_per_gpu=101))


@pytest.mark.usefixtures('project')
@pytest.mark.parametrize('workers', [0, 1])
def test_the_generators_of_the_run_are_left_alone(options, workers):
    data = TrainingData(run_options(options, batch_size_per_gpu=50, num_worker_per_gpu=workers))
    draws = []
    for read in (False, True):
        seed_all(5)
        if read:
            list(data.batches(Position()))
        draws.append((random.random(), np.random.rand(), torch.rand(()).item()))
    assert draws[0] == draws[1]


@pytest.mark.usefixtures('project')
def test_prefetching_changes_no_batch(options):
    plain = TrainingData(run_options(options, batch_size_per_gpu=30))
    ahead = TrainingData(
        run_options(options, batch_size_per_gpu=30, num_worker_per_gpu=1, prefetch_mode='cpu', num_prefetch_queue=3)
    )
    assert ahead._loader.prefetch_factor == 5
    for one, other in zip(plain.batches(Position()), ahead.batches(Position()), strict=True):
        assert one['key'] == other['key']
        assert torch.equal(one['lq'], other['lq'])


@pytest.mark.usefixtures('project')
def test_there_are_no_more_workers_than_processors(options, monkeypatch, log):
    plain = TrainingData(run_options(options, batch_size_per_gpu=30))
    monkeypatch.setattr(data_order, 'count_processors', lambda: 2)
    limited = TrainingData(run_options(options, batch_size_per_gpu=30, num_worker_per_gpu=4))
    assert limited._loader.num_workers == 2
    said = '2 process(es) read data instead of the 4 of num_worker_per_gpu, since there are no more processors; samples'
    assert said in log()
    for one, other in zip(plain.batches(Position()), limited.batches(Position()), strict=True):
        assert one['key'] == other['key']
        assert torch.equal(one['lq'], other['lq'])
    assert TrainingData(run_options(options, num_worker_per_gpu=1))._loader.num_workers == 1
    assert log().count('read data') == 1
