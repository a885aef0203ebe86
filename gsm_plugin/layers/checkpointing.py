"""Trading time for memory: activations of a function are computed again in the backward pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsm_plugin.ops import tf32


def run(function: Callable[..., Tensor], *args: Tensor | None, recompute: bool) -> Tensor:
    """Calls a function; with `recompute` and gradients on, its activations are not kept but computed again."""
    if recompute and torch.is_grad_enabled():
        # nothing here draws random numbers
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts)
    return function(*args)


def _contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the first computation, and of the second one, which is as precise; PyTorch sees to autocast itself."""
    return nullcontext(), tf32.products.turned(tf32.products.is_on())
