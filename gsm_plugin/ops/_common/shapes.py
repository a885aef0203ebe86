"""Checks of shapes, in one sentence."""

from collections.abc import Iterable

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


def check_floats(tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Complains about the first tensor of whole or complex numbers, which kernels would take for what they are not.

    Raises:
        ValueError: There is one.
    """
    for name, tensor in tensors:
        if not tensor.is_floating_point():
            raise ValueError(f'{name} is of {str(tensor.dtype).removeprefix("torch.")}; make it float.')
