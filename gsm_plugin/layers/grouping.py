"""Inference in groups: memory that does not grow with the clip."""

from collections.abc import Callable

import torch
from torch import Tensor


def run_in_groups(function: Callable[..., Tensor], *tensors: Tensor, pixels: int, at_once: int) -> Tensor:
    """Calls a function on the frames of some tensors; without gradients, on groups of them, one after the other.

    Args:
        function: Treats frames independently: tensors (n, ...) to a tensor (n, ...).
        *tensors: Its arguments, of one length n.
        pixels: Pixels of a frame.
        at_once: A group has at most so many pixels, but at least a frame.

    Returns:
        What the function gives for all frames.
    """
    group = len(tensors[0]) if torch.is_grad_enabled() else max(1, at_once // pixels)
    if group >= len(tensors[0]):
        return function(*tensors)
    whole = None
    for start in range(0, len(tensors[0]), group):
        part = function(*(x[start : start + group] for x in tensors))
        if whole is None:
            # at once, so that parts and whole are not in memory together
            whole = part.new_empty(len(tensors[0]), *part.shape[1:])
        whole[start : start + group] = part
    return whole
