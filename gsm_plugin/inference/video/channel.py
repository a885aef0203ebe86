"""Bounded queues between threads, which pass on the end and errors and never leave one waiting."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

_PATIENCE = 0.05


class Stopped(Exception):
    """Another thread has ended the work."""


class Channel:
    """A queue of at most `size` things.

    Args:
        size: How many wait at most.
        stop: Set by whoever ends the work early.
    """

    def __init__(self, size: int, stop: threading.Event):
        self._queue: queue.Queue = queue.Queue(size)
        self._stop = stop

    def put(self, thing: Any) -> None:
        """Waits for room.

        Raises:
            Stopped: The work has ended.
        """
        while not self._stop.is_set():
            try:
                self._queue.put((thing, False), timeout=_PATIENCE)
            except queue.Full:
                continue
            return
        raise Stopped

    def close(self) -> None:
        """Says that nothing more comes."""
        while not self._stop.is_set():
            try:
                self._queue.put((None, True), timeout=_PATIENCE)
            except queue.Full:
                continue
            return

    def __iter__(self) -> Iterator[Any]:
        """Everything that is put, until the channel is closed.

        Raises:
            Stopped: The work has ended.
        """
        while not self._stop.is_set():
            try:
                thing, closed = self._queue.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
            if closed:
                return
            yield thing
        raise Stopped
