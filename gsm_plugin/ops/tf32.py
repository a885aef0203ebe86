"""PyTorch's switches for TF32: float32 whose factors are rounded to 11 bits, for tensor cores."""

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

    def is_on(self) -> bool:
        """Whether it may."""
        return getattr(self._owner, self._name) in (True, 'tf32')

    def turned(self, on: bool) -> 'TurnedSwitch':
        """A context in which the switch is on or off, for all threads."""
        return TurnedSwitch(self._owner, self._name, on)


class TurnedSwitch:
    """A context that can be entered again, as a backward pass may do; see `Switch`."""

    def __init__(self, owner: object, name: str, on: bool) -> None:
        self._owner, self._name = owner, name
        self._value = on if name == 'allow_tf32' else 'tf32' if on else 'ieee'

    def __enter__(self) -> None:
        self._before = getattr(self._owner, self._name)
        setattr(self._owner, self._name, self._value)

    def __exit__(self, *_) -> None:
        setattr(self._owner, self._name, self._before)


_is_new = hasattr(torch.backends.cudnn, 'conv')
products = Switch(torch.backends.cuda.matmul, torch.backends.cuda.matmul if _is_new else None)
convolutions = Switch(torch.backends.cudnn, torch.backends.cudnn.conv if _is_new else None)
