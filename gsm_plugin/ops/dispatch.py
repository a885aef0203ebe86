"""Chooses the backend of an op, says which and why, and refuses a named one that cannot run."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch

# A child of BasicSR's logger, so that the choice stands in the log file of a run.
_logger = logging.getLogger('basicsr.gsm_plugin')

_OPS: dict[str, tuple['Backend', ...]] = {}


@dataclass(frozen=True)
class Backend:
    """One way to compute an op.

    Attributes:
        name: What users write in an option file: naive, torch, ...
        function: The implementation.
        why_not: Tells for a device type (`cpu`, `cuda`, ...) why the backend cannot run there, or None where it can.
        preference: Why `auto` takes it where it can run.
        types: Types of tensors that it computes, or None where it computes all of them.
    """

    name: str
    function: Callable
    why_not: Callable[[str], str | None]
    preference: str
    types: tuple[torch.dtype, ...] | None = None

    def refuses(self, device_type: str, dtype: torch.dtype | None = None) -> str | None:
        """Why it cannot run on a device type or with a type of tensors, or None where it can."""
        if dtype is not None and self.types is not None and dtype not in self.types:
            return f'it does not compute in {str(dtype).removeprefix("torch.")}'
        return self.why_not(device_type)


def anywhere(device_type: str) -> str | None:
    """The `why_not` of a backend that runs on every device."""
    return None


def declare(op: str, backends: Sequence[Backend]) -> None:
    """Makes an op known, with its backends from the one that `auto` likes best to the one it likes least."""
    _OPS[op] = tuple(backends)


def require_known_backend(op: str, requested: str) -> None:
    """Raises a ValueError where an op has no backend of a name; for checks before any tensor exists."""
    known = [backend.name for backend in _OPS[op]]
    if requested != 'auto' and requested not in known:
        raise ValueError(f'{op} has no backend {requested!r}; set one of auto, {", ".join(known)}.')


def choose_backend(
    op: str, requested: str, device_type: str, dtype: torch.dtype | None = None, not_triton: str | None = None
) -> Backend:
    """Chooses the backend of an op. `auto` falls back along the list and logs its choice once.

    Args:
        op: Name of the op, as declared.
        requested: `auto` or the name of a backend.
        device_type: Where the tensors are: `cpu`, `cuda`, ...
        dtype: Type of the tensors, for ops with backends that do not compute every one.
        not_triton: Why Triton's kernels do not cover this very call, such as its sizes, or None where they do.

    Raises:
        ValueError: The op has no backend of that name.
        RuntimeError: The named backend cannot run on the device, or with the type, or does not cover the call.
    """
    if requested == 'auto':
        return _choose_automatically(op, device_type, dtype, not_triton)
    require_known_backend(op, requested)
    backend = next(backend for backend in _OPS[op] if backend.name == requested)
    reason = _why_not(backend, device_type, dtype, not_triton)
    if reason is not None:
        raise RuntimeError(f'The backend {requested!r} of {op} cannot run here: {reason}; set auto or another one.')
    return backend


def describe_backends(device_type: str) -> list[tuple[str, str, str]]:
    """What `auto` chooses on a device: (op, backend, why) for every op."""
    return [(op, *_first_that_runs(op, device_type)[1:]) for op in _OPS]


def summarize_backends(device_type: str) -> str:
    """What `auto` chooses on a device, in one line."""
    ops: dict[str, list[str]] = {}
    for op, backend, _ in describe_backends(device_type):
        ops.setdefault(backend, []).append(op)
    most = max(ops, key=lambda backend: len(ops[backend]))
    parts = [f'{backend} for {", ".join(names)}' for backend, names in ops.items() if backend != most]
    return f'Backends on {device_type}: {"; ".join([*parts, f"{most} for {len(ops[most])} ops"])}.'


@cache
def _choose_automatically(op: str, device_type: str, dtype: torch.dtype | None, not_triton: str | None) -> Backend:
    backend, name, reason = _first_that_runs(op, device_type, dtype, not_triton)
    # what `summarize_backends` says is no news
    is_expected = name == _first_that_runs(op, device_type)[1]
    _logger.log(logging.DEBUG if is_expected else logging.INFO, f'{op} on {device_type}: backend {name} ({reason}).')
    return backend


def _first_that_runs(
    op: str, device_type: str, dtype: torch.dtype | None = None, not_triton: str | None = None
) -> tuple[Backend, str, str]:
    passed_over = []
    for backend in _OPS[op]:
        reason = _why_not(backend, device_type, dtype, not_triton)
        if reason is None:
            return backend, backend.name, '; '.join([*passed_over, backend.preference])
        passed_over.append(f'not {backend.name}: {reason}')
    raise RuntimeError(f'{op} has no backend for {device_type}: {"; ".join(passed_over)}.')


def _why_not(backend: Backend, device_type: str, dtype: torch.dtype | None, not_triton: str | None) -> str | None:
    return backend.refuses(device_type, dtype) or (not_triton if backend.name == 'triton' else None)
