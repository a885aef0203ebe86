"""A train.py of one's own, in the style of BasicSR-examples, with the plugin beside it."""

import os
import subprocess
import sys
from copy import deepcopy

import pytest

from tests import tiny_project

SCRIPT = f"""
import gsm_plugin

gsm_plugin.register()

from basicsr.train import train_pipeline
{tiny_project.NETWORK_SOURCE}

if __name__ == '__main__':
    train_pipeline('.')
"""


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp('script')
    tiny_project.write_data(root)
    (root / 'train.py').write_text(SCRIPT)
    return root


def run(project, options, *flags):
    tiny_project.write_options(project / 'options.yml', options)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    command = [sys.executable, 'train.py', '-opt', 'options.yml', *flags]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)


def test_basicsrs_own_pipeline_runs_on_the_cpu_with_our_option_parsing(project):
    done = run(project, deepcopy(tiny_project.OPTIONS), '--force_yml', 'train:optim_g:lr=1e-4')
    assert done.returncode == 0, done.stderr
    assert (project / 'experiments' / 'tiny' / 'models' / 'net_g_latest.pth').exists()
    assert 'lr:(1.000e-04,)' in done.stderr


def test_a_wrong_option_ends_the_script_in_one_sentence(project):
    done = run(project, deepcopy(tiny_project.OPTIONS), '--force_yml', 'train:totl_iter=1')
    assert done.returncode == 2
    expected = 'Nothing reads the key train:totl_iter; did you mean train:total_iter?'
    assert done.stderr.splitlines()[-1] == expected
    assert 'Traceback' not in done.stderr
