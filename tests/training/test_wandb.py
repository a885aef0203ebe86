"""Weights & Biases itself, where it is installed, without its servers."""

import os
import re
import subprocess
import sys
from copy import deepcopy

import pytest

from tests import tiny_project

pytest.importorskip('wandb')

SCRIPT = f"""
import sys
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
main.main(sys.argv[1:])
"""


def train(project, iterations):
    done = subprocess.run(
        [sys.executable, 'train.py', 'train', '-opt', 'options.yml', '--auto_resume',
         '--force_yml', f'train:total_iter={iterations}'],
        cwd=project, env=os.environ | {'WANDB_MODE': 'offline', 'PYTHONPATH': os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def runs_of(project):
    """For each run, in order, its id and how often the loss was sent."""
    files = sorted(project.glob('wandb/offline-run-*/run-*.wandb'), key=os.path.getmtime)
    return [(file.stem.removeprefix('run-'), len(re.findall(b'losses/l_pix', file.read_bytes()))) for file in files]


@pytest.mark.parametrize('keys', [['use_tb_logger', 'wandb'], ['wandb', 'use_tb_logger']])
def test_scalars_arrive_and_a_resumed_run_is_the_same_one(project, options, keys):
    logger = deepcopy(options['logger'])
    del logger['use_tb_logger']
    parts = {'use_tb_logger': True, 'wandb': {'project': 'x'}}
    options['logger'] = logger | {key: parts[key] for key in keys}
    tiny_project.write_options(project / 'options.yml', options)
    (project / 'train.py').write_text(SCRIPT)
    train(project, 2)
    [(first, sent)] = runs_of(project)
    assert sent >= 2
    train(project, 3)
    assert [name for name, _ in runs_of(project)] == [first, first]
    assert runs_of(project)[1][1] >= 1
