import gc
import subprocess
import sys

import numpy as np
import psutil
import pytest

from gsm_plugin import control_groups, host_memory
from gsm_plugin.host_memory import free_of_host, peak_growth, peak_of_process

SIZE = 2**26


def touch():
    np.ones(SIZE, np.uint8)


def test_the_growth_of_a_block_is_measured_however_short_it_is_and_whatever_was_before():
    held = np.ones(2 * SIZE, np.uint8)
    del held
    with peak_growth() as peak:
        touch()
    assert 0.9 * SIZE <= peak[0] <= 1.5 * SIZE
    with peak_growth() as peak:
        pass
    assert peak[0] < 0.1 * SIZE


def test_garbage_that_is_freed_meanwhile_does_not_hide_the_growth():
    class Node:
        pass

    gc.disable()
    try:
        node = Node()
        node.itself, node.memory = node, np.ones(2 * SIZE, np.uint8)
        del node
        with peak_growth() as peak:
            gc.collect()
            touch()
    finally:
        gc.enable()
    assert peak[0] >= 0.9 * SIZE


def test_memory_that_the_allocator_keeps_does_not_hide_the_growth():
    # as some libraries do: nothing is mapped apart, nothing given back (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
    code = (
        'import ctypes; import numpy as np; from gsm_plugin.host_memory import peak_growth\n'
        'libc = ctypes.CDLL(None); libc.mallopt(-3, 2**30); libc.mallopt(-1, 2**31 - 1)\n'
        f'np.ones({4 * SIZE}, np.uint8)\n'
        f'with peak_growth() as peak: np.ones({SIZE}, np.uint8)\n'
        'print(peak[0])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, encoding='utf-8', check=True)
    assert int(done.stdout) >= 0.9 * SIZE


def test_the_peak_of_the_process_outlives_measurements():
    held = np.ones(4 * SIZE, np.uint8)
    before = peak_of_process()
    del held
    with peak_growth():
        pass
    # The kernel sums its counters of several cores with some slack.
    assert peak_of_process() >= 0.99 * before
    assert before >= 4 * SIZE


def test_where_the_kernel_cannot_begin_anew_a_thread_looks_on(monkeypatch):
    monkeypatch.setattr(host_memory, 'forget_peak', lambda: False)
    with peak_growth() as peak:
        held = np.ones(SIZE, np.uint8)
    assert peak[0] >= 0.9 * held.nbytes


def test_where_clearing_is_forbidden_the_peak_counts_from_the_begin(monkeypatch, tmp_path):
    monkeypatch.setattr(host_memory, '_CLEAR', tmp_path / 'no' / 'such')
    assert host_memory.forget_peak() is False
    assert host_memory.peak_since() > 0


@pytest.mark.parametrize(
    'groups, folder, limit, usage, cache',
    [
        ('0::/job/step\n', 'job', 'memory.max', 'memory.current', 'inactive_file'),
        ('0::/outside/this/container\n', '', 'memory.max', 'memory.current', 'inactive_file'),
        (
            '1:cpu:/x\n4:memory:/job\n',
            'memory/job',
            'memory.limit_in_bytes',
            'memory.usage_in_bytes',
            'total_inactive_file',
        ),
    ],
)
def test_the_limit_of_a_control_group_counts(monkeypatch, tmp_path, groups, folder, limit, usage, cache):
    (tmp_path / 'groups').write_text(groups)
    monkeypatch.setattr(control_groups, '_GROUPS', tmp_path / 'groups')
    monkeypatch.setattr(control_groups, '_ROOT', tmp_path / 'root')
    (tmp_path / 'root' / 'job' / 'step').mkdir(parents=True)
    if 'container' in groups:
        (tmp_path / 'root' / 'job' / 'step').rmdir()
    place = tmp_path / 'root' / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / usage).write_text(f'{70 * 2**20}\n')
    (place / 'memory.stat').write_text(f'anon 5\n{cache} {10 * 2**20}\n')
    (place / limit).write_text(f'{100 * 2**20}\n')
    assert free_of_host() == (40 * 2**20, 'what is left to its control group')
    (place / limit).write_text('max\n')
    free, what = free_of_host()
    assert what == 'what is free'
    assert 0.5 * free < psutil.virtual_memory().available < 2 * free
