"""Less memory: activations computed again in the backward pass, or made for a few frames at a time without one."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_TOKENS_AT_ONCE = 2**17


def run(function: Callable[..., Tensor], *args: Tensor, recompute: bool) -> Tensor:
    """Calls a function; with `recompute` and gradients on, its activations are not kept but computed again."""
    if recompute and torch.is_grad_enabled():
        # nothing here draws random numbers
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)
    return function(*args)


def by_frames(function: Callable[..., Tensor], *clips: Tensor) -> Tensor:
    """Calls a function that treats every token apart; without gradients, on a few frames at a time.

    Args:
        function: From clips to a clip of the same shape.
        clips: (b, t, h, w, c), all of one shape.

    Returns:
        (b, t, h, w, c).
    """
    b, t, h, w, _ = clips[0].shape
    group = max(1, _TOKENS_AT_ONCE // max(1, b * h * w))
    if torch.is_grad_enabled() or group >= t:
        return function(*clips)
    whole = None
    for start in range(0, t, group):
        part = function(*(clip[:, start : start + group] for clip in clips))
        if whole is None:
            whole = part.new_empty(clips[0].shape)
        whole[:, start : start + group] = part
    return whole
