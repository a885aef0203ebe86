"""The log of a run: kept in memory until the run is sure to begin, then on the screen and in a file."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

from basicsr.utils import logger as basicsr_logger

from gsm_plugin.errors import UserError

_FORMAT = logging.Formatter('%(asctime)s %(levelname)s: %(message)s')
_MANY = 1_000_000


@contextmanager
def waiting_log(is_first: bool, verbose: bool) -> Iterator[Callable[[Path], None]]:
    """Collects what BasicSR's logger is told, until the file to write it to may be made.

    A run that is refused makes no file, and shows the warnings alone before the sentence that ends it.

    Args:
        is_first: Whether this is the process that logs; others show errors alone.
        verbose: Whether to log every layer of the networks and every backend too.

    Yields:
        A function that takes the file; from its call on, everything goes there and to the screen.
    """
    logger = logging.getLogger('basicsr')
    for handler in [one for one in logger.handlers if isinstance(one, logging.StreamHandler | MemoryHandler)]:
        logger.removeHandler(handler)
    basicsr_logger.initialized_logger['basicsr'] = True
    logger.propagate = False
    logger.setLevel((logging.DEBUG if verbose else logging.INFO) if is_first else logging.ERROR)
    memory = MemoryHandler(_MANY, flushLevel=logging.CRITICAL + 1)
    logger.addHandler(memory)

    def open_log(file: Path) -> None:
        _hand_over(memory, logging.NOTSET, *([logging.FileHandler(file, 'w', encoding='utf-8')] if is_first else []))

    try:
        yield open_log
    except UserError:
        _hand_over(memory, logging.WARNING)
        raise
    finally:
        _hand_over(memory, logging.NOTSET)


def _hand_over(memory: MemoryHandler, level: int, *handlers: logging.Handler) -> None:
    """Gives what was collected to the screen and to other handlers, once; they then take the collector's place."""
    logger = logging.getLogger('basicsr')
    if memory not in logger.handlers:
        return
    logger.removeHandler(memory)
    for handler in (logging.StreamHandler(sys.stderr), *handlers):
        handler.setFormatter(_FORMAT)
        logger.addHandler(handler)
        for record in memory.buffer:
            if record.levelno >= level:
                handler.handle(record)
    memory.buffer.clear()
