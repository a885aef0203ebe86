import sys
from types import SimpleNamespace

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.training.scalar_loggers import open_tensorboard, start_wandb

pytestmark = pytest.mark.usefixtures('fresh_logger')


@pytest.fixture
def steps(monkeypatch):
    """What is started, in order, with a stand-in for the package wandb."""
    from torch.utils import tensorboard

    steps = []

    def init(id, resume, **_):
        steps.append(('wandb', id, resume))
        return SimpleNamespace(id=id)

    wandb = SimpleNamespace(init=init, Error=LookupError)
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    monkeypatch.setattr(tensorboard, 'SummaryWriter', lambda log_dir, purge_step: steps.append(('tb', purge_step)))
    return steps


def make_options(tmp_path, first, name='tiny'):
    parts = {'use_tb_logger': True, 'wandb': {'project': 'x', 'resume_id': None}}
    order = sorted(parts, key=lambda key: key != first)
    return {'rank': 0, 'name': name, 'root_path': str(tmp_path), 'logger': {key: parts[key] for key in order}}


def open_scalar_loggers(options, iteration, before):
    wandb_id = start_wandb(options, before)
    return open_tensorboard(options, iteration), wandb_id


@pytest.mark.parametrize('first', ['use_tb_logger', 'wandb'])
def test_wandb_is_started_before_tensorboard_whichever_is_named_first(steps, tmp_path, first):
    new = open_scalar_loggers(make_options(tmp_path, first), 0, {})[1]
    assert len(new) == 8
    assert steps == [('wandb', new, 'never'), ('tb', 1)]


def test_a_resumed_run_is_the_same_one_there(steps, tmp_path):
    assert open_scalar_loggers(make_options(tmp_path, 'wandb'), 7, {'wandb_id': 'old'})[1] == 'old'
    assert steps == [('wandb', 'old', 'allow'), ('tb', 8)]


def test_a_refusal_is_one_sentence(steps, tmp_path, monkeypatch):
    def refuse(**_):
        raise LookupError('No API key configured.\nUse `wandb login` to log in.')

    monkeypatch.setattr(sys.modules['wandb'], 'init', refuse)
    with pytest.raises(UserError, match=r'wandb does not start \(No API .* log in\); run wandb login, set WANDB_MODE'):
        open_scalar_loggers(make_options(tmp_path, 'wandb'), 0, {})


def test_nothing_is_started_for_debugging_or_in_other_processes(steps, tmp_path):
    assert open_scalar_loggers(make_options(tmp_path, 'wandb', name='debug_x'), 0, {}) == (None, None)
    assert open_scalar_loggers(make_options(tmp_path, 'wandb') | {'rank': 1}, 0, {}) == (None, None)
    assert steps == []
