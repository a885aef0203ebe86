"""Importing the plugin costs nothing that is not used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ('basicsr', 'cv2', 'triton', 'numba')


def modules_after(statement):
    script = f'{statement}\nimport sys\nprint(*sys.modules)'
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([sys.executable, '-c', script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize('statement', ['import gsm_plugin', 'import gsm_plugin.compat', 'import gsm_plugin.cli.main'])
def test_the_package_itself_pulls_nothing_heavy(statement):
    assert not modules_after(statement) & {*HEAVY, 'torch', 'numpy', 'yaml'}


def test_the_ops_pull_pytorch_alone():
    modules = modules_after('import gsm_plugin.ops')
    assert 'torch' in modules
    assert not modules & set(HEAVY)
