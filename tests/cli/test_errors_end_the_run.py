"""An error while worker processes read ahead: the run must end, though its workers leave signals to it."""

import os
import subprocess
import sys
from copy import deepcopy

from tests import tiny_project

SCRIPT = f"""
import sys
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
forward, calls = TinyVideoNet.forward, []

def fail_at_the_third_call(self, x):
    calls.append(x)
    if len(calls) == 3:
        raise RuntimeError('the third call fails')
    return forward(self, x)

TinyVideoNet.forward = fail_at_the_third_call
main.main(sys.argv[1:])
"""


def test_an_error_in_a_step_ends_the_run_and_its_workers(tmp_path):
    tiny_project.write_data(tmp_path)
    (tmp_path / 'train.py').write_text(SCRIPT)
    options = deepcopy(tiny_project.OPTIONS)
    options['train']['total_iter'] = 1000
    options['datasets']['train'] |= {'num_worker_per_gpu': 2, 'dataset_enlarge_ratio': 100}
    tiny_project.write_options(tmp_path / 'options.yml', options)
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, 'train.py', 'train', '-opt', 'options.yml'],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.rstrip().endswith('RuntimeError: the third call fails')
