"""The script at its smallest, over gloo; what it measures on GPUs is not looked at here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gsm_plugin.studies.gpus.comparison import speed_of

SCRIPTS = Path(__file__).parents[2] / 'scripts'


def run(out, *arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / 'compare_gpus.py', '--cpu', '--out', out, *arguments],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(tmp_path):
    done = run(tmp_path, '--parts', 'curve', '--iterations', '3', '--workers', '0')
    assert done.returncode == 0, done.stderr
    assert '3 iterations, largest difference' in done.stdout
    assert 'the curves agree to 0.001.' in done.stdout
    record = json.loads((tmp_path / 'compare_gpus.json').read_text())
    assert (record['processes'], record['backend']) == (2, 'gloo')
    assert len(record['curve']['losses_of_all_processes']) == 3
    assert record['curve']['largest_relative_difference'] < 1e-3


def test_what_takes_too_long_is_ended_with_a_sentence(tmp_path):
    done = run(tmp_path, '--timeout', '0.1')
    assert done.returncode == 1
    assert 'curve_one was ended, because all runs together may take 0.1 s; give more by --timeout' in done.stderr


def test_step_times_are_those_between_the_records_of_the_second_half():
    clock, waited = [60, 61, 62, 64, 66], [9, 9, 9, 9.5, 10]
    records = [
        {'iter': i, 'it_per_s': i / seconds, 'data_time_s': wait / i, 'memory_gib': 1.5}
        for i, (seconds, wait) in enumerate(zip(clock, waited, strict=True), start=1)
    ]
    speed = speed_of(records, frames=32)
    assert (speed['step_s'], speed['frames_per_second'], speed['first_step_s']) == pytest.approx((2, 16, 60))
    assert (speed['fastest_s'], speed['slowest_s'], speed['data_s'], speed['steps']) == pytest.approx((1, 2, 0.5, 3))
