"""Chooses the backend of an op, says which and why, and refuses a named one that cannot run."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import nothing_needed

# A child of BasicSR's logger, so that the choice stands in the log file of a run.
_logger = logging.getLogger('basicsr.gsm_plugin')

_OPS: dict[str, tuple['Backend', ...]] = {}
_replacements: dict[str, 'Backend'] = {}
_told: set[tuple] = set()


def everything_covered(*arguments: object) -> str | None:
    """The `covers` of a backend that computes whatever the op takes."""
    return None


@dataclass(frozen=True)
class Backend:
    """One way to compute an op.

    Attributes:
        name: What users write in an option file: naive, torch, ...
        preference: Why `auto` takes it where it can run.
        runs_on: Tells for a device why the backend cannot run there, or None where it can.
        types: Types of tensors that it computes, or None where it computes all of them.
        covers: Tells for the arguments of a call why the backend does not compute that, or None where it does.
        function: What computes it, called as `covers` is; None for `<op>_<name>` of the op's folder, which is imported
            at its first call.
    """

    name: str
    preference: str
    runs_on: Callable[[torch.device], str | None] = nothing_needed
    types: tuple[torch.dtype, ...] | None = None
    covers: Callable[..., str | None] = everything_covered
    function: Callable | None = None

    def refuses(
        self, device: torch.device, dtype: torch.dtype | None = None, arguments: tuple | None = None
    ) -> str | None:
        """Why it cannot compute a call, as far as that is known, or None where it can."""
        if dtype is not None and self.types is not None and dtype not in self.types:
            return f'it does not compute in {str(dtype).removeprefix("torch.")}'
        reason = self.runs_on(device)
        return self.covers(*arguments) if reason is None and arguments is not None else reason


def declare(op: str, *backends: Backend) -> None:
    """Makes an op known, with its backends from the one that `auto` likes best to the one it likes least."""
    _OPS[op] = backends


@cache
def implementation(op: str, name: str) -> Callable:
    """The function of an op's backend: `<op>_<name>` in `naive.py` or `<name>_impl.py` of the op's folder."""
    module = 'naive' if name == 'naive' else f'{name}_impl'
    return getattr(import_module(f'gsm_plugin.ops.{op}.{module}'), f'{op}_{name}')


def require_known_backend(op: str, requested: str) -> None:
    """Raises a ValueError where an op has no backend of a name; for checks before any tensor exists."""
    known = [backend.name for backend in _OPS[op]]
    if requested != 'auto' and requested not in known:
        raise ValueError(f'{op} has no backend {requested!r}; set one of auto, {", ".join(known)}.')


def choose_backend(
    op: str,
    requested: str,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
    arguments: tuple | None = None,
) -> Backend:
    """Chooses the backend of an op. `auto` falls back along the list and logs each choice once.

    Args:
        op: Name of the op, as declared.
        requested: `auto` or the name of a backend.
        device: Where the tensors are.
        dtype: Type of the tensors, where it is known.
        arguments: Of the call, as the backend gets them, where there is one.

    Raises:
        ValueError: The op has no backend of that name.
        RuntimeError: The named backend cannot run on the device, or with the type, or does not cover the call.
    """
    if op in _replacements:
        return _replacements[op]
    device = torch.device(device)
    if requested == 'auto':
        return _choose_automatically(op, device, dtype, arguments)
    require_known_backend(op, requested)
    backend = next(backend for backend in _OPS[op] if backend.name == requested)
    reason = backend.refuses(device, dtype, arguments)
    if reason is not None:
        raise RuntimeError(f'The backend {requested!r} of {op} cannot run here: {reason}; set auto or another one.')
    return backend


def compute(op: str, requested: str, like: Tensor, arguments: tuple, dtype: torch.dtype | None = None) -> Any:
    """Computes an op by the backend that `choose_backend` gives.

    Args:
        op: Name of the op, as declared.
        requested: `auto` or the name of a backend.
        like: Tensor on the device, and of the type, in which the op computes.
        arguments: Of the backend's function.
        dtype: The type, where `like` has another one.
    """
    dtype = like.dtype if dtype is None else dtype
    backend = choose_backend(op, requested, like.device, dtype, arguments)
    function = backend.function or implementation(op, backend.name)
    if like.is_cuda and torch.cuda.is_initialized() and like.device.index != torch.cuda.current_device():
        # Triton launches kernels on the current GPU, whichever one the tensors are on
        with torch.cuda.device(like.device):
            return function(*arguments)
    return function(*arguments)


@contextmanager
def replaced(functions: Mapping[str, Callable]) -> Iterator[None]:
    """Within it, ops are computed by functions of one's own, whatever backend is asked for: for tracing networks.

    Args:
        functions: By op, what is called as its backends are.
    """
    _replacements.update({op: Backend('replaced', '', function=function) for op, function in functions.items()})
    try:
        yield
    finally:
        for op in functions:
            del _replacements[op]


def describe_backends(device: torch.device | str) -> list[tuple[str, str, str]]:
    """What `auto` chooses on a device: (op, backend, why) for every op."""
    choices = ((op, *_first_that_runs(op, torch.device(device))) for op in _OPS)
    return [(op, backend.name, _why(backend, passed_over)) for op, backend, passed_over in choices]


def summarize_backends(device: torch.device | str) -> str:
    """What `auto` chooses on a device, in one line."""
    ops: dict[str, list[str]] = {}
    for op, backend, _ in describe_backends(device):
        ops.setdefault(backend, []).append(op)
    most = max(ops, key=lambda backend: len(ops[backend]))
    parts = [f'{backend} for {", ".join(names)}' for backend, names in ops.items() if backend != most]
    return f'Backends on {device}: {"; ".join([*parts, f"{most} for {len(ops[most])} ops"])}.'


def _choose_automatically(op: str, device: torch.device, dtype: torch.dtype | None, arguments: tuple | None) -> Backend:
    backend, passed_over = _first_that_runs(op, device, dtype, arguments)
    choice = op, device.type, backend.name, passed_over
    if choice not in _told:
        _told.add(choice)
        # what `summarize_backends` says is no news
        level = logging.DEBUG if backend.name == _first_that_runs(op, device)[0].name else logging.INFO
        _logger.log(level, f'{op} on {device.type}: backend {backend.name} ({_why(backend, passed_over)}).')
    return backend


def _first_that_runs(
    op: str, device: torch.device, dtype: torch.dtype | None = None, arguments: tuple | None = None
) -> tuple[Backend, tuple[str, ...]]:
    """The backend that `auto` takes, and why not those before it."""
    passed_over: tuple[str, ...] = ()
    for backend in _OPS[op]:
        reason = backend.refuses(device, dtype, arguments)
        if reason is None:
            return backend, passed_over
        passed_over = *passed_over, f'not {backend.name}: {reason}'
    raise RuntimeError(f'{op} has no backend for {device.type}: {"; ".join(passed_over)}.')


def _why(backend: Backend, passed_over: tuple[str, ...]) -> str:
    return '; '.join([*passed_over, backend.preference])
