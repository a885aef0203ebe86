"""PyTorch's switches for TF32: float32 whose factors are rounded to 11 bits, for tensor cores."""

import threading
from types import ModuleType

import torch


class Switch:
    """Whether an operation on float32 may use TF32 on a GPU.

    Args:
        older: What has `allow_tf32`, as PyTorch wants to be asked up to 2.8.
        newer: What has `fp32_precision`. PyTorch refuses the other question where this was set.
    """

    def __init__(self, older: ModuleType, newer: object | None) -> None:
        self._owner, self._name = (older, 'allow_tf32') if newer is None else (newer, 'fp32_precision')
        self._lock = threading.Lock()
        self._before, self._turned = None, []

    def is_on(self) -> bool:
        """Whether it may."""
        return getattr(self._owner, self._name) in (True, 'tf32')

    def turned(self, on: bool) -> 'TurnedSwitch':
        """A context in which the switch is on or off, for all threads.

        It may be entered again, as a backward pass may do. Contexts of several threads (DataParallel's) may overlap:
        after the last of them, the switch is as it was before the first.
        """
        return TurnedSwitch(self, on)

    def enter(self, context: 'TurnedSwitch') -> None:
        """Turns the switch as a context wants."""
        with self._lock:
            if not self._turned:
                self._before = getattr(self._owner, self._name)
            self._turned.append(context)
            self._set()

    def leave(self, context: 'TurnedSwitch') -> None:
        """Turns the switch as the other contexts want, or back."""
        with self._lock:
            self._turned.remove(context)
            self._set()

    def _set(self) -> None:
        value = self._before
        if self._turned:
            on = self._turned[-1].on
            value = on if self._name == 'allow_tf32' else 'tf32' if on else 'ieee'
        setattr(self._owner, self._name, value)


class TurnedSwitch:
    """See `Switch.turned`.

    Attributes:
        on: How the switch is turned.
    """

    def __init__(self, switch: Switch, on: bool) -> None:
        self._switch, self.on = switch, on

    def __enter__(self) -> None:
        self._switch.enter(self)

    def __exit__(self, *_) -> None:
        self._switch.leave(self)


_is_new = hasattr(torch.backends.cudnn, 'conv')
products = Switch(torch.backends.cuda.matmul, torch.backends.cuda.matmul if _is_new else None)
convolutions = Switch(torch.backends.cudnn, torch.backends.cudnn.conv if _is_new else None)
