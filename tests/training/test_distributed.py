"""Two processes over gloo, started once; a signal reaches only one of them."""

import argparse
import os
import shutil
import signal
from copy import deepcopy

import pytest
import torch
from torch import distributed, multiprocessing

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.pipelines.preparing import prepare_options
from gsm_plugin.registration import register_all
from gsm_plugin.training.loop import TrainingLoop
from gsm_plugin.training.run import train
from tests import tiny_project
from tests.training import runs

TOTAL = 6


def make_options():
    options = deepcopy(tiny_project.OPTIONS)
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'TinyRecurrentNet'}}
    options['train'] |= {'ema_decay': 0.5, 'total_iter': TOTAL}
    options['logger']['save_checkpoint_freq'] = 100
    options['val']['val_freq'] = 2
    return options


def run(root, rank):
    os.chdir(root)
    file = tiny_project.write_options(root / f'options_{rank}.yml', make_options())
    arguments = argparse.Namespace(opt=str(file), force_yml=None, launcher='none', auto_resume=True, debug=False)
    options = prepare_options(arguments, str(root), is_train=True)
    # as processes do that meet only then: none locks the experiment while another still looks whether it is free
    distributed.barrier()
    # Without a seed that all know, each process would have drawn its own.
    options['manual_seed'] += rank
    train(options | {'dist': True, 'root_path': str(root)}, arguments)


def work(rank, rendezvous, never_stopped, stopped):
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2)
    register_all()
    run(never_stopped, rank)
    train_on = TrainingLoop._train_on

    def train_on_and_signal(loop, batch):
        train_on(loop, batch)
        if rank == 1 and loop.at.iteration == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    TrainingLoop._train_on = train_on_and_signal
    run(stopped, rank)
    TrainingLoop._train_on = train_on
    if rank == 0:
        torch.save(runs.checkpoints_of(stopped), stopped / 'stopped_at.pt')
    distributed.barrier()
    run(stopped, rank)
    distributed.destroy_process_group()


@pytest.fixture(scope='module')
def roots(data_folder, tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ('never_stopped', 'stopped')]
    for folder in folders:
        os.symlink(data_folder, folder / 'data')
    multiprocessing.spawn(work, (tmp_path_factory.mktemp('rendezvous') / 'file', *folders), nprocs=2)
    return folders


def test_a_signal_to_one_process_stops_all_of_them(roots):
    assert torch.load(roots[1] / 'stopped_at.pt') == [2, 3]


def test_they_resume_exactly(roots):
    runs.assert_same_end(roots[1], roots[0], TOTAL)


@pytest.mark.usefixtures('fresh_logger')
def test_one_process_with_twice_the_batch_sees_the_same(roots, project):
    register_all()
    runs.train(project, make_options(), datasets__train__batch_size_per_gpu=2)
    expected = [record['l_pix'] for record in runs.records_of(roots[0], 'train')]
    assert [record['l_pix'] for record in runs.records_of(project, 'train')] == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures('fresh_logger')
def test_one_process_goes_on_where_two_stopped_and_tells(roots, project, capfd):
    register_all()
    shutil.copytree(roots[0] / 'experiments', project / 'experiments')
    runs.train(project, make_options(), auto_resume=True, train__total_iter=7)
    assert 'The state is of 2 process(es) with 2 sample(s) an iteration together; now it is 1 with 1.' in (
        capfd.readouterr().err
    )
    assert runs.state_of(project, 7)['samples'] == 2 * TOTAL + 1
