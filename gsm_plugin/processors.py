"""How many processors there are for a run, and how many threads it gets on a CPU: one for each that is left to it."""

import os
from collections.abc import Iterator

import psutil

from gsm_plugin.control_groups import control_groups

_SECONDS = 0.5


def choose_threads(most: int) -> tuple[int, str]:
    """Chooses a number of threads by what the machine does at the moment.

    Threads wait for each other after each operation of PyTorch. One whose processor another program uses comes late by
    a slice of time, thousands of times a step, so that two threads may be slower than one.

    Args:
        most: What PyTorch takes by itself.

    Returns:
        The number, from 1 to `most`, and the reason; `most` itself where the user has set OMP_NUM_THREADS.
    """
    if is_chosen_by_user():
        return most, 'as OMP_NUM_THREADS says'
    own = _own_processors()
    shares = psutil.cpu_percent(_SECONDS, percpu=True)
    busy = sum(share / 100 for number, share in enumerate(shares) if number in own)
    allowed = min(_quotas(), default=float(len(own)))
    threads = max(1, min(most, round(min(len(own) - busy, allowed))))
    if threads == most:
        return most, 'all that there are'
    why = f'other programs keep {busy:.1f} of {len(own)} processors busy'
    if allowed < len(own) - busy:
        why = f'the control group allows the time of {allowed:.1f} of {len(own)} processors'
    return threads, f'since {why} (OMP_NUM_THREADS sets another number)'


def count_processors() -> int:
    """How many processors this process may use, whole ones, at least one; other programs do not count."""
    return max(1, int(min([len(_own_processors()), *_quotas()])))


def is_chosen_by_user() -> bool:
    """Whether the user has set the number of threads."""
    return bool(os.environ.get('OMP_NUM_THREADS'))


def _own_processors() -> set[int]:
    """Those that this process may run on."""
    if hasattr(os, 'sched_getaffinity'):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas() -> Iterator[float]:
    """Limits of the control groups, in processors."""
    for group, is_second in control_groups('cpu'):
        names = ('cpu.max',) if is_second else ('cpu.cfs_quota_us', 'cpu.cfs_period_us')
        try:
            time, period = ' '.join((group / name).read_text(encoding='utf-8') for name in names).split()
            quota = int(time) / int(period)
        except (OSError, ValueError):
            # no such group, or no limit ("max")
            continue
        if quota > 0:
            yield quota
