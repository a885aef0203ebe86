"""What modules make of their parameters alone, made once for many calls, like `torch.nn.utils.parametrize.cached`."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar('Result')

_of_thread = threading.local()


def shared(method: Callable[[], Result]) -> Result:
    """The result of a module's method without arguments: that of a `sharing` around, otherwise a new one."""
    results = results_now()
    return results[method] if method in results else method()


@contextmanager
def sharing(*methods: Callable[[], object]) -> Iterator[None]:
    """Calls methods of modules, and gives their results to every `shared` inside, in this thread."""
    with given({**results_now(), **{method: method() for method in methods}}):
        yield


def results_now() -> Mapping[Callable, Any]:
    """What is shared here, by method."""
    return getattr(_of_thread, 'results', {})


@contextmanager
def given(results: Mapping[Callable, Any]) -> Iterator[None]:
    """Shares what was shared elsewhere, for those who compute something again."""
    before, _of_thread.results = results_now(), results
    try:
        yield
    finally:
        _of_thread.results = before
