"""Faults of the machine, not of the program: what happened and a cure, in one sentence."""

import errno
import re
import shutil
import traceback

SHARED_MEMORY = '/dev/shm'
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_OF_SHARED_MEMORY = r'shared memory|</?torch_\w+>|shm_open'
_TOO_MANY_FILES = r'Too many open files|received 0 items of ancdata'
# Of PyTorch's allocators for a CPU and for a GPU, with the bytes.
_OF_MEMORY = (
    r"(?<=can't allocate memory: )you tried to allocate \d+ bytes|\w+ out of memory\. Tried to allocate [\d.]+ \w+"
)
# Of the system's loader of libraries, which names the reason where it is another one, such as a mount without exec.
_NOT_LOADED = 'failed to map segment from shared object$|shared object.*: Cannot allocate memory$'
# Where Python keeps the semaphores and queues of worker processes.
_OF_WORKERS = ('multiprocessing/synchronize.py', 'multiprocessing/heap.py', 'multiprocessing/shared_memory.py')


def explain(error: BaseException) -> str | None:
    """A sentence for an error that the machine is to blame for.

    Args:
        error: What ended a command.

    Returns:
        What happened and what helps; None for everything else, which keeps its traceback.
    """
    text = ' '.join(str(error).split())
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE) or (isinstance(error, RuntimeError) and re.search(_TOO_MANY_FILES, text)):
        return (
            'Too many files are open at once; allow more (ulimit -n 65536), or lower '
            'datasets:train:num_worker_per_gpu (0 needs none).'
        )
    if _is_of_shared_memory(error, text):
        return (
            f'Shared memory ({describe_shared_memory()}) is full or cannot be used, through which worker processes '
            f'hand over what they read; give the container more (docker run --shm-size=8g), or lower '
            f'datasets:train:num_worker_per_gpu (0 needs none).'
        )
    if library := why_not_loaded(error):
        return f'Memory is too little for a library ({library}); allow more (ulimit -v), or free some.'
    used_up = re.search(_OF_MEMORY, text) if isinstance(error, RuntimeError) else None
    if used_up or isinstance(error, MemoryError):
        asked = f' ({used_up[0]})' if used_up else ''
        return (
            f'Memory is used up{asked}; take a smaller network, or smaller frames and fewer of them at once (in a '
            f'training: batch_size_per_gpu, num_frame, gt_size).'
        )
    if not isinstance(error, OSError):
        return None
    if is_full(error):
        return f'The disk is full ({error.filename or error.strerror}); make room, and run again.'
    if number in _FORBIDDEN and error.filename is not None:
        return f'{error.filename} cannot be written or read ({error.strerror}); correct the path or its permissions.'
    return None


def why_not_loaded(error: BaseException | None) -> str | None:
    """What the system said where memory was too little for a library, on which an error followed; None elsewhere."""
    while error is not None:
        if re.search(_NOT_LOADED, str(error)):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def is_full(error: OSError) -> bool:
    """Whether the disk is full, and not shared memory."""
    return error.errno in _FULL and not _is_of_shared_memory(error, '')


def describe_shared_memory() -> str:
    """The place of shared memory with its size, where there is one."""
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
    except OSError:
        return f'{SHARED_MEMORY}, which is not there'
    return f'{SHARED_MEMORY}, {_size(usage.total)}, of which {_size(usage.free)} are free'


def _size(count: int) -> str:
    return f'{count / 2**30:.1f} GiB' if count >= 2**30 else f'{count / 2**20:.1f} MiB'


def _is_of_shared_memory(error: BaseException, text: str) -> bool:
    if isinstance(error, RuntimeError):
        return (
            re.search(_OF_SHARED_MEMORY, text) is not None and re.search('space|Bus error|allocate', text) is not None
        )
    if not isinstance(error, OSError):
        return False
    files = [frame.filename.replace('\\', '/') for frame in traceback.extract_tb(error.__traceback__)]
    return any(file.endswith(_OF_WORKERS) for file in files)
