"""A training that was stopped and went on ends as one that was never stopped, bit for bit."""

import os

import pytest

from gsm_plugin.register import register_all
from tests.engine.training import runs
from tests.models import tiny  # noqa: F401  (registers its network)

pytestmark = pytest.mark.usefixtures('fresh_logger')

TOTAL = 14


@pytest.fixture
def options(options):
    """Everything that could get lost: an average, a flow warm-up, accumulation, a warm-up of the learning rate."""
    register_all()
    options['model_type'] = 'GSMModel'
    options['network_g'] = {'type': 'TinyRecurrentNet'}
    options['datasets']['train']['batch_size_per_gpu'] = 2
    options['datasets']['train']['dataset_enlarge_ratio'] = 0.1
    options['train'] |= {
        'ema_decay': 0.9,
        'fix_flow': 5,
        'flow_lr_mul': 0.5,
        'accumulate_iter': 2,
        'warmup_iter': 4,
        'total_iter': TOTAL,
        'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [TOTAL], 'restart_weights': [1], 'eta_min': 1e-7},
    }
    options['val']['val_freq'] = 5
    options['logger']['save_checkpoint_freq'] = 4
    return options


@pytest.fixture
def roots(project, tmp_path_factory):
    """Folders of two projects with the same data, of which the first is the working directory."""
    other = tmp_path_factory.mktemp('never_stopped')
    os.symlink(project / 'data', other / 'data')
    return project, other


@pytest.fixture
def never_stopped(roots, options):
    runs.train(roots[1], options)
    return roots[1]


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('iteration', [2, 5, 7, 10, 13])
def test_killed_at_any_iteration(roots, options, never_stopped, monkeypatch, iteration, workers):
    options['datasets']['train']['num_worker_per_gpu'] = workers
    runs.at_iteration(monkeypatch, iteration, runs.kill)
    with pytest.raises(runs.Killed):
        runs.train(roots[0], options, auto_resume=True)
    runs.train(roots[0], options, auto_resume=True)
    runs.assert_same_end(roots[0], never_stopped, TOTAL)
