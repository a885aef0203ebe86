"""Processes that read data are spawned in distributed runs, and must not import BasicSR without the patches."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAIN = ROOT / 'gsm_plugin' / '__main__.py'

TELL_WHAT_IS_SPAWNED = """
import atexit
import multiprocessing.spawn

atexit.register(lambda: print(multiprocessing.spawn.get_preparation_data('reader').get('init_main_from_path')))
"""


def test_they_import_the_command_when_it_is_started_as_a_module(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(TELL_WHAT_IS_SPAWNED)
    environment = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    command = [sys.executable, '-m', 'gsm_plugin', '--help']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == str(MAIN)


def test_the_command_does_not_run_again_in_them():
    names = runpy.run_path(str(MAIN), run_name='__mp_main__')
    assert callable(names['run'])
    # which brings the patches
    assert names['compat']
