"""Faults of the machine are told in one sentence with a cure."""

import errno

import pytest
import torch

from gsm_plugin.training import machine_faults
from gsm_plugin.training.machine_faults import explain, is_full


@pytest.mark.parametrize(
    'text',
    [
        'unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)',
        'unable to write to file </torch_77_5>: No space left on device (28)',
        "DataLoader worker (pid 9) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
        'shared memory. Please try to raise your shared memory limit.',
        'Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback: unable to mmap 16 bytes from file '
        '</torch_1_1_1>: Cannot allocate memory (12)',
    ],
)
def test_shared_memory_that_is_full_is_told_with_its_size(text, monkeypatch):
    monkeypatch.setattr(machine_faults.shutil, 'disk_usage', lambda _: machine_faults.shutil._ntuple_diskusage(
        64 * 2**20, 64 * 2**20, 0
    ))  # fmt: skip
    sentence = explain(RuntimeError(text))
    assert sentence.startswith('Shared memory (/dev/shm, 64.0 MiB, of which 0.0 MiB are free) is full')
    assert '--shm-size' in sentence
    assert 'num_worker_per_gpu' in sentence


def test_semaphores_of_workers_are_shared_memory_too(monkeypatch):
    import multiprocessing
    from multiprocessing import synchronize

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(synchronize._multiprocessing, 'SemLock', full)
    with pytest.raises(OSError) as caught:
        multiprocessing.get_context('spawn').Lock()
    assert explain(caught.value).startswith('Shared memory (')
    assert not is_full(caught.value)


@pytest.mark.parametrize(
    'error, expected',
    [
        (OSError(errno.ENOSPC, 'No space left', 'out/a.png'), 'The disk is full (out/a.png); make room'),
        (OSError(errno.EDQUOT, 'Disk quota exceeded'), 'The disk is full (Disk quota exceeded); make room'),
        (
            PermissionError(errno.EACCES, 'Permission denied', 'out'),
            'out cannot be written or read (Permission denied)',
        ),
        (OSError(errno.EROFS, 'Read-only file system', 'out'), 'out cannot be written or read (Read-only file system)'),
        (OSError(errno.EMFILE, 'Too many open files'), 'Too many files are open at once; allow more (ulimit -n'),
        (RuntimeError('received 0 items of ancdata'), 'Too many files are open at once'),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes. Er"
            ),
            'Memory is used up (you tried to allocate 12 bytes); take a smaller network',
        ),
        (
            torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total'),
            'Memory is used up (CUDA out of memory. Tried to allocate 2.50 GiB); take a smaller network',
        ),
        (MemoryError(), 'Memory is used up; take a smaller network'),
    ],
)
def test_others_have_their_own_cure(error, expected):
    assert explain(error).startswith(expected)


def test_a_library_that_memory_is_too_little_for_is_told_whatever_followed():
    with pytest.raises(ImportError) as caught:
        try:
            raise ImportError('libtorch_cpu.so: failed to map segment from shared object')
        except ImportError:
            raise ImportError("No module named 'cffi'") from None
    sentence = 'Memory is too little for a library (libtorch_cpu.so: failed to map segment from shared object); allow'
    assert explain(caught.value).startswith(sentence)
    assert explain(ImportError('a.so: failed to map segment from shared object: Operation not permitted')) is None


@pytest.mark.parametrize('error', [RuntimeError('shapes differ'), OSError('odd'), ValueError('shared memory space')])
def test_what_is_no_fault_of_the_machine_is_left_alone(error):
    assert explain(error) is None
