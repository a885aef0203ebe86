import os

import psutil
import pytest

from gsm_plugin import control_groups, processors
from gsm_plugin.processors import choose_threads, count_processors


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes a machine whose processors are busy to given percents, without limits, of which all may be used."""
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.setattr(control_groups, '_GROUPS', tmp_path / 'groups')
    monkeypatch.setattr(control_groups, '_ROOT', tmp_path / 'root')

    def make(*percents, own=None):
        monkeypatch.setattr(psutil, 'cpu_percent', lambda interval, percpu: list(percents))
        monkeypatch.setattr(processors, '_own_processors', lambda: own or set(range(len(percents))))

    return make


@pytest.mark.parametrize(
    'percents, expected',
    [([0, 3], 2), ([20, 20], 2), ([100, 0], 1), ([100, 100], 1), ([50, 60], 1), ([100, 2, 2, 2], 3)],
)
def test_there_is_a_thread_for_each_processor_that_others_leave(machine, percents, expected):
    machine(*percents)
    threads, reason = choose_threads(len(percents))
    assert threads == expected
    busy = f'since other programs keep {sum(percents) / 100:.1f} of {len(percents)} processors busy (OMP_NUM_THREADS'
    assert reason.startswith('all that there are' if expected == len(percents) else busy)


def test_there_are_never_more_than_pytorch_takes(machine):
    machine(0, 0, 0, 0)
    assert choose_threads(2) == (2, 'all that there are')


def test_processors_that_the_process_may_not_use_do_not_count(machine):
    machine(100, 0, 0, 100, own={1, 2})
    assert choose_threads(2)[0] == 2
    machine(100, 0, 0, 0, own={0, 1})
    assert choose_threads(2)[0] == 1
    assert count_processors() == 2


def test_the_user_comes_first(machine, monkeypatch):
    machine(100, 100)
    monkeypatch.setenv('OMP_NUM_THREADS', '2')
    assert choose_threads(2) == (2, 'as OMP_NUM_THREADS says')
    monkeypatch.setenv('OMP_NUM_THREADS', '')
    assert choose_threads(2)[0] == 1


@pytest.mark.parametrize(
    'groups, files',
    [
        ('0::/job\n', {'job/cpu.max': '250000 100000\n'}),
        ('3:cpu,cpuacct:/job\n', {'cpu/job/cpu.cfs_quota_us': '250000\n', 'cpu/job/cpu.cfs_period_us': '100000\n'}),
        ('0::/job/step\n', {'job/step/cpu.max': 'max 100000\n', 'job/cpu.max': '250000 100000\n'}),
    ],
)
def test_the_limit_of_a_control_group_counts(machine, tmp_path, groups, files):
    (tmp_path / 'groups').write_text(groups)
    for name, text in files.items():
        path = tmp_path / 'root' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    machine(*[0] * 8)
    threads, reason = choose_threads(8)
    assert threads == 2
    assert reason.startswith('since the control group allows the time of 2.5 of 8 processors')
    assert count_processors() == 2


@pytest.mark.parametrize('unlimited', ['max 100000\n', 'nonsense\n'])
def test_a_group_without_a_limit_leaves_all(machine, tmp_path, unlimited):
    (tmp_path / 'groups').write_text('0::/\n')
    (tmp_path / 'root').mkdir()
    (tmp_path / 'root/cpu.max').write_text(unlimited)
    machine(0, 0)
    assert choose_threads(2)[0] == 2


def test_the_real_machine_has_at_least_one(monkeypatch):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    threads, reason = choose_threads(os.cpu_count())
    assert 1 <= threads <= os.cpu_count()
    assert reason
