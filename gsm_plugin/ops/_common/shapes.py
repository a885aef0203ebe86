"""Checks of tensors and their shapes, in one sentence."""

from collections.abc import Iterable

import torch
from torch import Tensor


def check_shapes(why: str, expected: Iterable[tuple[str, Tensor, tuple[int, ...]]]) -> None:
    """Complains about the first tensor that has not the shape that it is to have.

    Args:
        why: What needs the shapes, with its verb, such as `3 channels need`.
        expected: Names, tensors and their shapes.

    Raises:
        ValueError: A shape is another one.
    """
    for name, tensor, shape in expected:
        if tensor.shape != shape:
            raise ValueError(f'{name} has the shape {tuple(tensor.shape)}; {why} {tuple(shape)}.')


def check_axes(name: str, tensor: Tensor, axes: str) -> None:
    """Complains about a tensor that has not as many axes as are named, such as `n, h, w, c`.

    Raises:
        ValueError: It has more, or fewer.
    """
    if tensor.ndim != axes.count(',') + 1:
        raise ValueError(f'{name} has the shape {tuple(tensor.shape)}; give ({axes}).')


def check_tensors(floats: Iterable[tuple[str, Tensor]], flow: Tensor | None = None) -> None:
    """Complains about the first that kernels would take for what it is not.

    Args:
        floats: Names and tensors, of which none may be of whole or complex numbers.
        flow: It may be of whole numbers, since it is taken to float32 before it is used.

    Raises:
        ValueError: One is no tensor, is of other numbers, or is on another device than the first.
    """
    first = device = None
    for name, tensor in floats:
        if not isinstance(tensor, Tensor):
            raise ValueError(_no_tensor(name, tensor))
        if not tensor.is_floating_point():
            raise ValueError(f'{name} is of {str(tensor.dtype).removeprefix("torch.")}; make it float.')
        if device is None:
            first, device = name, tensor.device
        elif tensor.device != device:
            raise ValueError(_elsewhere(name, tensor, first, device))
    if flow is not None and not isinstance(flow, Tensor):
        raise ValueError(_no_tensor('flow', flow))
    if flow is not None and flow.device != device:
        raise ValueError(_elsewhere('flow', flow, first, device))


def _no_tensor(name: str, value: object) -> str:
    kind = f'{type(value).__module__}.{type(value).__qualname__}'.removeprefix('builtins.')
    return f'{name} is of {kind}; make it a tensor, as by torch.as_tensor.'


def _elsewhere(name: str, tensor: Tensor, first: str | None, device: torch.device | None) -> str:
    return f'{name} is on {tensor.device}, but {first} on {device}; move one of them.'
