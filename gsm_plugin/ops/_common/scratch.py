"""Memory of backends for a CPU that is used again, where the system would fill new memory with zeros at each call."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_of_thread = threading.local()


@contextmanager
def kept() -> Iterator[None]:
    """Within it, in this thread, `empty` gives the memory of a name again.

    What a backend returns may be such memory: it holds until the same op is called again.
    """
    before, _of_thread.memory = getattr(_of_thread, 'memory', None), {}
    try:
        yield
    finally:
        _of_thread.memory = before


def empty(name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """A contiguous tensor of a type and a device, not filled; within `kept`, memory of that name where it suffices."""
    memory = getattr(_of_thread, 'memory', None)
    if memory is None:
        return like.new_empty(shape)
    key, numbers = (name, like.dtype, like.device), math.prod(shape)
    if key not in memory or len(memory[key]) < numbers:
        memory[key] = torch.empty(numbers, dtype=like.dtype, device=like.device)
    return memory[key][:numbers].view(shape)
