"""Runs of a tiny training in this process, stopped where a test wants it, and what they leave."""

import argparse
import json
import os
import signal
from pathlib import Path

import torch

from gsm_plugin.pipelines.running import run_pipeline
from gsm_plugin.training.loop import TrainingLoop
from tests import tiny_project
from tests.models import tiny  # noqa: F401  (registers its networks)

TIMINGS = {'eta_s', 'it_per_s', 'iter_time_s', 'data_time_s', 'memory_gib'}


class Killed(BaseException):
    """Stands for the end of the process."""


def train(root: Path, options: dict, auto_resume: bool = False, **changes: object) -> None:
    """Runs a training below `root`; `changes` are as `train__total_iter=3`."""
    file = tiny_project.write_options(root / 'options.yml', options)
    forced = [f'{key.replace("__", ":")}={value}' for key, value in changes.items()]
    arguments = argparse.Namespace(
        opt=str(file), force_yml=forced, launcher='none', auto_resume=auto_resume, debug=False
    )
    run_pipeline(arguments, str(root), is_train=True)


def at_iteration(monkeypatch, iteration: int, act) -> None:
    """Lets something happen once in the middle of an iteration, after its step."""
    train_on = TrainingLoop._train_on
    waiting = [True]

    def train_and_act(loop, batch):
        train_on(loop, batch)
        if loop.at.iteration == iteration and waiting:
            waiting.clear()
            act(loop)

    monkeypatch.setattr(TrainingLoop, '_train_on', train_and_act)


def kill(_):
    raise Killed


def terminate(_):
    os.kill(os.getpid(), signal.SIGTERM)


def interrupt(_):
    os.kill(os.getpid(), signal.SIGINT)


def state_of(root: Path, iteration: int) -> dict:
    """A training state, without what the option file said."""
    state = torch.load(root / 'experiments/tiny/training_states' / f'{iteration}.state', weights_only=True)
    state.pop('run')
    return state


def records_of(root: Path, *kinds: str) -> list[dict]:
    """The machine-readable log, without times."""
    lines = (root / 'experiments/tiny/train.jsonl').read_text().splitlines()
    records = [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]
    return [record for record in records if record['kind'] in (kinds or ('train', 'validation'))]


def checkpoints_of(root: Path) -> list[int]:
    return sorted(int(path.stem) for path in (root / 'experiments/tiny/training_states').glob('*.state'))


def networks_of(root: Path) -> list[str]:
    return sorted(path.name for path in (root / 'experiments/tiny/models').iterdir())


def assert_same(actual: object, expected: object) -> None:
    """Bit for bit, through dictionaries and lists."""
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key in expected:
            assert_same(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, torch.Tensor):
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected)
    else:
        assert actual == expected


def assert_same_end(actual: Path, expected: Path, iteration: int) -> None:
    """Two trainings ended with the same checkpoint, networks and logged numbers."""
    assert_same(state_of(actual, iteration), state_of(expected, iteration))
    assert_same(records_of(actual), records_of(expected))
    for name in ('net_g_latest.pth', f'net_g_{iteration}.pth'):
        files = [torch.load(root / 'experiments/tiny/models' / name, weights_only=True) for root in (actual, expected)]
        assert_same(*files)
