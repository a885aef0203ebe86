"""torchrun's elastic restart: a process dies without a word, all are started again and go on from the checkpoint."""

import json
import os
import subprocess
import sys
from copy import deepcopy

import pytest

from tests.engine import tiny_project
from tests.engine.training import runs

TOTAL, DIES_AT = 6, 5
SCRIPT = f"""
import os, signal, sys
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
forward, steps = TinyVideoNet.forward, []

def die_once(self, x):
    steps.extend([x] * self.training)
    first_life = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'
    if first_life and os.environ['RANK'] == os.environ['DYING_RANK'] and len(steps) == {DIES_AT}:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, x)

TinyVideoNet.forward = die_once
if __name__ == '__main__':
    main.main(sys.argv[1:])
"""


def torchrun(folder, dying_rank, workers, *flags):
    """Trains in two processes over gloo; in its first life one of them dies at a step."""
    folder.mkdir()
    (folder / 'data').symlink_to(folder.parent / 'data')
    (folder / 'train.py').write_text(SCRIPT)
    options = deepcopy(tiny_project.OPTIONS)
    options['model_type'] = 'GSMModel'
    options['datasets']['train']['num_worker_per_gpu'] = workers
    options['train'] |= {'ema_decay': 0.5, 'total_iter': TOTAL}
    options['logger']['save_checkpoint_freq'] = 2
    tiny_project.write_options(folder / 'options.yml', options)
    environment = os.environ | {
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHONPATH': os.pathsep.join(sys.path),
        'DYING_RANK': str(dying_rank),
    }
    return subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', *flags,
         'train.py', 'train', '-opt', 'options.yml', '--launcher', 'pytorch', '--auto_resume'],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=80,
    )  # fmt: skip


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('elastic')
    tiny_project.write_data(root)
    done = torchrun(root / 'undisturbed', None, 0)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize('rank, workers', [(0, 0), (1, 1)])
def test_a_process_that_is_killed_costs_nothing_but_time(root, rank, workers):
    folder = root / f'process_{rank}_dies'
    done = torchrun(folder, rank, workers, '--max-restarts=1')
    assert done.returncode == 0, done.stderr
    # The second life tells of the death; torchrun's message may name the other process, whose connection broke.
    lines = (folder / 'experiments/tiny/train.jsonl').read_text().splitlines()
    # Process 0 may die, or be told to stop, while it writes the last checkpoint before.
    assert [line['iter'] for line in map(json.loads, lines) if line['kind'] == 'resume'] in ([2], [4])
    runs.assert_same_end(folder, root / 'undisturbed', TOTAL)
