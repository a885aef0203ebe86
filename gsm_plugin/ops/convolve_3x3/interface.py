"""Convolution in training: without cuDNN's search for the fastest algorithm, both passes by TF32 or neither."""

from torch import Tensor

from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'convolve_3x3'

declare(
    OP,
    Backend('torch', "PyTorch's convolution without cuDNN's search"),
    Backend('naive', 'the definition'),
)


def convolve_3x3(x: Tensor, weight: Tensor, backend: str = 'auto') -> Tensor:
    """Convolves images; a border of zeros keeps their size.

    With gradients on a GPU, cuDNN does not search: in float32 an algorithm that it tries takes gigabytes for a moment,
    more than the rest of a training step, and what it finds is hardly faster than what it takes without a search. Where
    TF32 is on, it is for the gradients, too, and where it is off, it is not, however it is when they are computed.

    Args:
        x: (n, c, h, w).
        weight: (m, c, 3, 3).
        backend: auto, torch or naive.

    Returns:
        (n, m, h, w), under autocast of its type.
    """
    return compute(OP, backend, x, (x, weight))
