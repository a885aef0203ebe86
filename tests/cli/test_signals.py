"""The command in a process of its own, with processes that read data, signalled as terminals and schedulers do it."""

import os
import signal
import subprocess
import sys
import time
from copy import deepcopy

import pytest

from tests import tiny_project
from tests.training import runs

SCRIPT = f"""
import sys
import gsm_plugin
from gsm_plugin.cli import main
{tiny_project.NETWORK_SOURCE}
main.main(sys.argv[1:])
"""


# The process with another command in it.
PROCESS = """
import atexit, ctypes, signal, sys
import gsm_plugin.__main__ as process
import gsm_plugin.cli.main as command

# a shell that started the tests in its background lets them ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)

def main():
    {body}

command.main = main
process.run()
"""
# glibc calls it when Python is gone, with the status 0 as first argument: a Ctrl+C for the process group.
AT_THE_VERY_END = 'libc = ctypes.CDLL(None); libc.on_exit(libc.kill, signal.SIGINT)'


@pytest.mark.skipif(sys.platform != 'linux', reason='on_exit is of glibc')
@pytest.mark.parametrize(
    'body, status, said',
    [
        (f'{AT_THE_VERY_END}; print("done")', 0, ''),
        (f'{AT_THE_VERY_END}; raise SystemExit(0)', 0, ''),
        ('signal.raise_signal(signal.SIGINT)', 130, 'basicsr: stopped.\n'),
        # in code that is made of text, after which Python ends by the signal
        ('exec("signal.raise_signal(signal.SIGINT)")', 130, 'basicsr: stopped.\n'),
        ('atexit.register(print, "tidied", file=sys.stderr); raise SystemExit(130)', 130, 'tidied\n'),
    ],
)
def test_ctrl_c_is_a_sentence_or_comes_too_late_to_undo_anything(body, status, said, tmp_path):
    (tmp_path / 'stopped.py').write_text(PROCESS.format(body=body))
    environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, '-m', 'stopped'], env=environment, capture_output=True, text=True, timeout=60,
        start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (status, said)


def test_a_reader_that_goes_away_ends_the_command_without_a_traceback():
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)}
    script = PROCESS.format(body='print("line\\n" * 10**6)')
    with subprocess.Popen(
        [sys.executable, '-c', script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert (process.wait(timeout=60), errors) == (141, '')


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp('signals')
    tiny_project.write_data(root)
    (root / 'train.py').write_text(SCRIPT)
    options = deepcopy(tiny_project.OPTIONS)
    options['train']['total_iter'] = 10**6
    options['logger'] |= {'print_freq': 10, 'save_checkpoint_freq': 10**6}
    # a validation makes a checkpoint first
    options['val']['val_freq'] = 10**6
    options['datasets']['train'] |= {'num_worker_per_gpu': 2, 'dataset_enlarge_ratio': 100}
    tiny_project.write_options(root / 'options.yml', options)
    return root


@pytest.mark.parametrize('number, status', [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_to_all_of_its_processes_saves_and_ends_the_run(project, number, status):
    done_before = runs.checkpoints_of(project)
    log = project / 'experiments/tiny/train.jsonl'
    length = log.stat().st_size if log.exists() else 0
    command = [sys.executable, 'train.py', 'train', '-opt', 'options.yml', '--auto_resume']
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 100
        while not (log.exists() and log.stat().st_size > length + 1000) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, number)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == status, errors
    assert 'Traceback' not in errors
    last = runs.checkpoints_of(project)[-1]
    assert [*done_before, last] == runs.checkpoints_of(project)
    assert f'after {last} iterations; go on by --auto_resume.' in errors
