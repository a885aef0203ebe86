"""Trading time for memory: activations of a function are computed again in the backward pass."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def run(function: Callable[..., Tensor], *args: Tensor | None, recompute: bool) -> Tensor:
    """Calls a function; with `recompute` and gradients on, its activations are not kept but computed again."""
    if recompute and torch.is_grad_enabled():
        # nothing here draws random numbers
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)
    return function(*args)
