import argparse
import gc
import os
import re

import pytest
import torch

import gsm_plugin
from gsm_plugin.cli import data_bench
from gsm_plugin.errors import UserError
from gsm_plugin.pipelines import data_benchmark
from tests import tiny_project
from tests.project_fixtures import data_folder, options, project  # noqa: F401 (fixtures)

pytestmark = pytest.mark.usefixtures('project')


def call(*arguments):
    parser = argparse.ArgumentParser()
    data_bench.add_bench(parser.add_subparsers())
    parsed = parser.parse_args(['bench', '-opt', 'options.yml', '--seconds', '0.1', *arguments])
    parsed.run(parsed)


@pytest.fixture
def file(project, options):  # noqa: F811
    gsm_plugin.register()
    # Neither the network nor the validation set has to be there.
    options['network_g'] = {'type': 'GSMamba', 'upscale': 2, 'spynet_path': 'nowhere.pth'}
    options['datasets']['val'] |= {'dataroot_gt': 'nowhere', 'dataroot_lq': 'nowhere'}
    return tiny_project.write_options(project / 'options.yml', options)


def test_each_number_of_workers_has_a_line(file, capsys):
    call('--workers', '0', '1', '--cold')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '100 samples, 1 in a batch, files dropped first'
    pattern = r' +{} +[\d.]+ +[\d.]+ ms +- +[\d.]+ s  [\d.]+ to [\d.]+ GiB'
    assert re.fullmatch(pattern.format(0), lines[2])
    assert re.fullmatch(pattern.format(1), lines[3])
    assert lines[4].startswith('wait a step: ')
    assert not os.path.exists('experiments')


def test_it_says_how_many_workers_are_enough(file, capsys, monkeypatch):
    def measure(dataset, section, workers, seconds, step_s):
        return data_benchmark.Loading(workers, 1.0, 0.1 / 4**workers, step_s, 0.0, None)

    monkeypatch.setattr(data_benchmark, 'measure_loading', measure)
    call('--workers', '0', '1', '2', '--step', '0.2')
    assert 'With num_worker_per_gpu: 2, steps of 0.2 s wait less than 5 % of the time.' in capsys.readouterr().out


class Slow(torch.utils.data.Dataset):
    """Reads a sample in a tenth of a second."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        data_benchmark.time.sleep(0.1)
        return {'lq': torch.zeros(1)}


class Clock:
    """Time in which nothing but sleep passes, so that a busy machine changes no figure."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(data_benchmark, 'time', Clock())


def test_speed_and_wait_are_those_of_the_data_set(clock):
    found = data_benchmark.measure_loading(Slow(), {'batch_size_per_gpu': 2}, workers=0, seconds=0.5)
    assert found.samples_per_s == pytest.approx(10)
    assert found.wait_s == pytest.approx(0.2)
    busy = data_benchmark.measure_loading(Slow(), {'batch_size_per_gpu': 2}, workers=0, seconds=0.5, step_s=0.2)
    assert busy.wait_share == pytest.approx(0.5)
    assert busy.samples_per_s == pytest.approx(5)


def test_a_slow_set_is_not_enough_for_fast_steps(file, clock, capsys, monkeypatch):
    monkeypatch.setattr(data_benchmark, 'open_training_set', lambda *_: (Slow(), {'batch_size_per_gpu': 1}))
    call('--workers', '0', '--step', '0.05')
    assert 'Steps of 0.05 s wait for data with any of these' in capsys.readouterr().out


@pytest.mark.parametrize(
    'forced, sentence',
    [
        ('datasets:train:dataroot_lq=nowhere', 'datasets:train:dataroot_lq is nowhere, which does not exist'),
        ('datasets:train:num_frames=2', 'did you mean datasets:train:num_frame'),
    ],
)
def test_a_mistake_is_one_sentence(file, forced, sentence):
    with pytest.raises(UserError, match=sentence):
        call('--force_yml', forced)


@pytest.mark.parametrize('flags', [['--seconds', '0'], ['--step', 'x'], ['--workers', '-1']])
def test_a_wrong_flag_is_refused(file, flags, capsys):
    with pytest.raises(SystemExit):
        call(*flags)
    assert 'is no number of' in capsys.readouterr().err


def test_the_memory_of_workers_is_flat_over_epochs(file):
    dataset, _ = data_benchmark.open_training_set(argparse.Namespace(opt=str(file), force_yml=None), '.')
    loader = torch.utils.data.DataLoader(dataset, num_workers=2, persistent_workers=True)
    used = []
    # collections in workers write to what they share with this process, which has run other tests
    gc.collect()
    gc.freeze()
    try:
        for _ in range(16):
            for _ in loader:
                pass
            used.append(data_benchmark.memory_gib() * 1024)
    finally:
        gc.unfreeze()
    # in the first epochs workers get pages of their own of what they share, the more the larger this process is
    assert max(used[8:]) - used[8] < 8
