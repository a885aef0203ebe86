"""Convolution in training: without cuDNN's search for the fastest algorithm, both passes by TF32 or neither."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, outside_autocast
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'convolve_3x3'

# PyTorch takes less time for fewer channels, and for fewer multiplications by the definition.
_CHANNELS, _MULTIPLICATIONS = 16, 2**25


def _numba_covers(x: Tensor, weight: Tensor) -> str | None:
    """Why Numba's kernels do not cover a call in float32, or None where they do."""
    if min(weight.shape[:2]) < _CHANNELS or x[:, :1].numel() * weight.numel() < _MULTIPLICATIONS:
        return 'it is too small for minimal filtering to be faster'
    return outside_autocast(x)


declare(
    OP,
    Backend('numba', 'fewer products, in both passes', needs_numba, (torch.float32,), _numba_covers),
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
        backend: auto, numba, torch or naive. numba is for float32 without autocast, and for large convolutions.

    Returns:
        (n, m, h, w), under autocast of its type.
    """
    return compute(OP, backend, x, (x, weight))
