"""torchrun's elastic restart: a process dies without a word, all are started again and go on from the checkpoint."""

import json
import os
import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from tests import tiny_project
from tests.training import runs

TOTAL, DIES_AT = 6, 5
SCRIPT = f"""
import os, signal, sys
from pathlib import Path
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
forward, steps = TinyVideoNet.forward, []

def die_once(self, x):
    steps.extend([x] * self.training)
    first_life = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'
    if first_life and os.environ['RANK'] == os.environ['DYING_RANK'] and len(steps) == {DIES_AT}:
        Path('last_words').write_text(os.environ['RANK'])
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, x)

TinyVideoNet.forward = die_once
if __name__ == '__main__':
    main.main(sys.argv[1:])
"""


def torchrun(folder, device, dying_rank, workers, *flags):
    """Trains in two processes, over gloo or NCCL; in its first life one of them dies at a step."""
    folder.mkdir()
    (folder / 'data').symlink_to(folder.parent / 'data')
    (folder / 'train.py').write_text(SCRIPT)
    options = deepcopy(tiny_project.OPTIONS)
    options |= {'model_type': 'GSMModel', 'num_gpu': int(device == 'cuda'), 'deterministic': True}
    options['datasets']['train']['num_worker_per_gpu'] = workers
    options['train'] |= {'ema_decay': 0.5, 'total_iter': TOTAL}
    options['logger']['save_checkpoint_freq'] = 2
    tiny_project.write_options(folder / 'options.yml', options)
    environment = os.environ | {
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': os.pathsep.join(sys.path),
        'DYING_RANK': str(dying_rank),
    }
    if device == 'cpu':
        environment['CUDA_VISIBLE_DEVICES'] = ''
    return subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', *flags,
         'train.py', 'train', '-opt', 'options.yml', '--launcher', 'pytorch', '--auto_resume'],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=80,
    )  # fmt: skip


two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')


@pytest.fixture(scope='module', params=['cpu', pytest.param('cuda', marks=two_gpus)])
def device(request):
    return request.param


@pytest.fixture(scope='module')
def root(tmp_path_factory, device):
    root = tmp_path_factory.mktemp('elastic')
    tiny_project.write_data(root)
    done = torchrun(root / 'undisturbed', device, None, 0)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize('rank, workers', [(0, 0), pytest.param(1, 1, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_costs_nothing_but_time(root, device, rank, workers):
    folder = root / f'process_{rank}_dies'
    done = torchrun(folder, device, rank, workers, '--max-restarts=1')
    assert done.returncode == 0, done.stderr
    # torchrun's own message may name the other process, whose connection broke.
    assert (folder / 'last_words').read_text() == str(rank)
    lines = (folder / 'experiments/tiny/train.jsonl').read_text().splitlines()
    # Process 0 may die, or be told to stop, while it writes the last checkpoint before.
    assert [line['iter'] for line in map(json.loads, lines) if line['kind'] == 'resume'] in ([2], [4])
    runs.assert_same_end(folder, root / 'undisturbed', TOTAL)
