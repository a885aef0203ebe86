"""Signals and the time limit: a run is asked to stop, and stops where nothing is lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import Any

import torch
from torch import distributed


class StopReason(IntEnum):
    """Why a run stops before its end; of several, the largest counts."""

    TIME = 1
    TERMINATED = 2
    INTERRUPTED = 3


class StopTraining(Exception):
    """Leaves the loop.

    Args:
        reason: Why.
    """

    def __init__(self, reason: StopReason):
        super().__init__(reason)
        self.reason = reason


STOP_SIGNALS = {signal.SIGTERM: StopReason.TERMINATED, signal.SIGINT: StopReason.INTERRUPTED}
if hasattr(signal, 'SIGUSR1'):
    # Slurm sends it ahead of the end where it is asked to: sbatch --signal=USR1@120. Windows has none.
    STOP_SIGNALS[signal.SIGUSR1] = StopReason.TERMINATED
_NOTICE = b'\nStopping after this iteration; press Ctrl-C again to stop at once and lose what is not saved.\n'


class StopRequests:
    """Takes SIGTERM, SIGUSR1, SIGINT and the time limit as requests, as long as it is entered.

    Args:
        max_hours: The limit, counted from now; None for none.
    """

    def __init__(self, max_hours: float | None = None):
        self._deadline = None if max_hours is None else time.monotonic() + 3600 * max_hours
        self._signalled: StopReason | None = None
        self._may_break_off = False
        # the handlers that were there, by the signal
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> 'StopRequests':
        # Python lets no other thread have handlers.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def reason(self) -> StopReason | None:
        """Why this process is to stop, or None where it is not."""
        if self._signalled is None and self._deadline is not None and time.monotonic() >= self._deadline:
            return StopReason.TIME
        return self._signalled

    def agreed_reason(self, device: torch.device) -> StopReason | None:
        """Why all processes are to stop now, if any of them is; all of them have to ask.

        Args:
            device: Where the processes can exchange tensors.
        """
        reason = self.reason()
        if distributed.is_available() and distributed.is_initialized():
            largest = torch.tensor(reason or 0, device=device)
            distributed.all_reduce(largest, distributed.ReduceOp.MAX)
            reason = StopReason(int(largest.item())) if largest else None
        return reason

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Lets signals end what is inside at once, by `StopTraining`: long work that the next run can do again."""
        self._may_break_off = True
        try:
            if self._signalled is not None:
                raise StopTraining(self._signalled)
            yield
        finally:
            self._may_break_off = False

    def _take(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self._signalled is StopReason.INTERRUPTED:
            raise KeyboardInterrupt
        reason = STOP_SIGNALS[signal.Signals(number)]
        self._signalled = reason if self._signalled is None else max(self._signalled, reason)
        if self._may_break_off:
            raise StopTraining(self._signalled)
        if number == signal.SIGINT and os.environ.get('RANK', '0') == '0':
            # Not by print, which may be at work below this handler.
            os.write(2, _NOTICE)
