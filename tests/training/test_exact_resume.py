"""A training that was stopped and went on ends as one that was never stopped, bit for bit."""

import contextlib
import os
from copy import deepcopy

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from gsm_plugin.errors import UserError
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.registration import register_all
from gsm_plugin.training import run
from gsm_plugin.training.loop import TrainingLoop
from tests import tiny_project
from tests.models.tiny import TinyRecurrentNet
from tests.training import runs

TOTAL = 14

# Everything that could get lost: an average, a flow warm-up, accumulation, a warm-up of the learning rate, validation.
TRAIN = {
    'ema_decay': 0.9,
    'fix_flow': 5,
    'flow_lr_mul': 0.5,
    'accumulate_iter': 2,
    'warmup_iter': 4,
    'total_iter': TOTAL,
    'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [TOTAL], 'restart_weights': [1], 'eta_min': 1e-7},
}


class DroppingNet(nn.Module):
    """Draws random numbers of its own."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.network = TinyRecurrentNet()

    def forward(self, x):
        return self.network(self.dropout(x))


if 'DroppingNet' not in ARCH_REGISTRY:
    ARCH_REGISTRY.register(DroppingNet)


def make_options():
    register_all()
    options = deepcopy(tiny_project.OPTIONS)
    options |= {'model_type': 'GSMModel', 'network_g': {'type': 'DroppingNet'}}
    options['datasets']['train'] |= {'batch_size_per_gpu': 2, 'dataset_enlarge_ratio': 0.1}
    options['train'] |= TRAIN
    options['val']['val_freq'] = 5
    options['logger'] |= {'save_checkpoint_freq': 4, 'keep_last': 2, 'save_best': 'psnr'}
    return options


@pytest.fixture
def options(fresh_logger):
    return make_options()


@pytest.fixture(scope='module')
def never_stopped(data_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp('never_stopped')
    os.symlink(data_folder, root / 'data')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        runs.train(root, make_options())
    return root


def resume(project, options, never_stopped):
    runs.train(project, options, auto_resume=True)
    runs.assert_same_end(project, never_stopped, TOTAL)
    assert runs.networks_of(project) == runs.networks_of(never_stopped)
    assert runs.checkpoints_of(project) == runs.checkpoints_of(never_stopped)


@pytest.mark.parametrize('iteration, workers', [(2, 0), (7, 2), (10, 0), (13, 1)])
def test_killed_in_an_iteration(project, options, never_stopped, monkeypatch, iteration, workers):
    options['datasets']['train']['num_worker_per_gpu'] = workers
    runs.at_iteration(monkeypatch, iteration, runs.kill)
    with pytest.raises(runs.Killed):
        runs.train(project, options, auto_resume=True)
    resume(project, options, never_stopped)


@pytest.mark.parametrize('iteration', [3, 10])
def test_terminated_and_interrupted(project, options, never_stopped, monkeypatch, iteration):
    runs.at_iteration(monkeypatch, iteration, runs.terminate)
    runs.train(project, options)
    # Between two steps, whichever iteration the signal came in.
    assert runs.checkpoints_of(project)[-1] == iteration + iteration % 2
    runs.at_iteration(monkeypatch, 12, runs.interrupt)
    with pytest.raises(KeyboardInterrupt):
        runs.train(project, options, auto_resume=True)
    assert runs.checkpoints_of(project)[-1] == 12
    resume(project, options, never_stopped)


@pytest.mark.parametrize('by', [runs.kill, runs.terminate])
def test_stopped_in_a_validation(project, options, never_stopped, monkeypatch, by):
    validate = GSMModel.dist_validation

    def validate_and_stop(model, loader, current_iter, *rest):
        validate(model, loader, current_iter, *rest)
        if current_iter == 10:
            by(None)

    with monkeypatch.context() as patch, contextlib.suppress(runs.Killed):
        patch.setattr(GSMModel, 'dist_validation', validate_and_stop)
        runs.train(project, options)
    assert runs.checkpoints_of(project)[-1] == 10
    assert runs.records_of(project, 'validation')[-1]['iter'] == 5
    resume(project, options, never_stopped)


@pytest.mark.parametrize('step, at', [('before the state', 12), ('after the state', 12), ('after the state', TOTAL)])
def test_killed_while_saving(project, options, never_stopped, monkeypatch, step, at):
    from gsm_plugin.training.checkpoints.store import CheckpointStore

    save = CheckpointStore.save

    def save_and_die(store, iteration, state, networks):
        if step == 'before the state':
            store.save_networks(networks)
        else:
            save(store, iteration, state, networks)
        if iteration == at:
            raise runs.Killed
        if step == 'before the state':
            save(store, iteration, state, networks)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, 'save', save_and_die)
        with pytest.raises(runs.Killed):
            runs.train(project, options)
    assert (at in runs.checkpoints_of(project)) == (step == 'after the state')
    resume(project, options, never_stopped)


def test_a_finished_training_is_left_as_it_is_and_says_so(project, options, never_stopped, monkeypatch, capfd):
    runs.train(project, options)

    def everything():
        return {path: path.stat().st_mtime_ns for path in (project / 'experiments').rglob('*')}

    before = everything()
    with monkeypatch.context() as patch:
        patch.setattr(run, 'build_model', lambda options: pytest.fail('a network is made'))
        capfd.readouterr()
        resume(project, options, never_stopped)
    assert everything() == before
    said = capfd.readouterr().err
    assert f'The training tiny is finished: its {TOTAL} iterations are done, saved and validated. Raise train' in said
    assert said.count('\n') == 1
    longer = {'train__total_iter': TOTAL + 2, 'train__scheduler__periods': [TOTAL + 2]}
    runs.train(project, options, auto_resume=True, **longer)
    assert runs.checkpoints_of(project)[-1] == TOTAL + 2


def test_a_last_validation_that_was_not_finished_is_done_again(project, options, never_stopped, monkeypatch):
    def kill(loop, name, is_first):
        if loop.at.iteration == TOTAL:
            raise runs.Killed
        keep(loop, name, is_first)

    keep = TrainingLoop._keep_scores

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, '_keep_scores', kill)
        with pytest.raises(runs.Killed):
            runs.train(project, options)
    assert TOTAL in runs.checkpoints_of(project)
    resume(project, options, never_stopped)


def test_steps_that_were_skipped_are_counted_on(project, options, monkeypatch):
    options['train'] |= {'max_skipped_steps': 3, 'accumulate_iter': 1}
    train_on = TrainingLoop._train_on

    def train_on_bad_data(loop, batch):
        if loop.at.iteration in (6, 7, 9, 10, 11):
            batch['gt'] *= float('nan')
        train_on(loop, batch)

    monkeypatch.setattr(TrainingLoop, '_train_on', train_on_bad_data)
    runs.at_iteration(monkeypatch, 10, runs.terminate)
    runs.train(project, options)
    assert not runs.state_of(project, 10)['is_good']
    with pytest.raises(UserError, match='stopped at iteration 11, because 3 steps in a row'):
        runs.train(project, options, auto_resume=True)
    # The newest good one stays beside those that were saved among skipped steps, and where the training ended; and the
    # one before the flow network was freed.
    assert runs.checkpoints_of(project) == [4, 5, 8, 10, 11]


@pytest.fixture
def machine(monkeypatch):
    """Lets the user leave the number of threads open, and says what a new run would take."""
    before = torch.get_num_threads()
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)

    def leave(threads):
        monkeypatch.setattr(run, 'choose_threads', lambda most: (threads, 'as this test says'))

    yield leave
    torch.set_num_threads(before)


def threads_of(project, monkeypatch, options, **changes):
    """The numbers of threads of the steps of a training."""
    seen = []
    train_on = TrainingLoop._train_on
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, '_train_on', lambda *args: (seen.append(torch.get_num_threads()), train_on(*args)))
        runs.train(project, options, **changes)
    return set(seen)


def log_of(project):
    return '\n'.join(path.read_text() for path in sorted((project / 'experiments/tiny').glob('train_*.log')))


def test_a_training_keeps_its_number_of_threads_on_a_machine_that_is_busy_now(project, options, machine, monkeypatch):
    machine(2)
    assert threads_of(project, monkeypatch, options, train__total_iter=4) == {2}
    machine(1)
    assert threads_of(project, monkeypatch, options, auto_resume=True, train__total_iter=8) == {2}
    assert '2 thread(s) as before, so that numbers stay the same. A new run would have 1 thread(s)' in log_of(project)


def test_the_user_changes_the_number_of_threads(project, options, machine, monkeypatch):
    machine(2)
    threads_of(project, monkeypatch, options, train__total_iter=4)
    machine(1)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    assert threads_of(project, monkeypatch, options, auto_resume=True, train__total_iter=8) == {1}
    assert 'The state is of 2 thread(s); now there are 1, so numbers may differ.' in log_of(project)
