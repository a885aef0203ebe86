"""Trading time for memory: activations of a function are computed again in the backward pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gsm_plugin.layers.precision import is_plain, plainly
from gsm_plugin.layers.sharing import given, results_now
from gsm_plugin.switches import tf32


def run(function: Callable[..., Tensor], *args: Tensor | None, recompute: bool) -> Tensor:
    """Calls a function; with `recompute`, its activations are not kept but computed again."""
    if recompute:
        # nothing here draws random numbers
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts)
    return function(*args)


def _contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the first computation, and of the second one, which reads the same; PyTorch sees to autocast itself."""
    return nullcontext(), _Again()


class _Again:
    """As precise as where it was made, with what was shared there; may be entered more than once."""

    def __init__(self) -> None:
        self._products, self._plain = tf32.products.turned(tf32.products.is_on()), is_plain()
        self._results = results_now()
        self._entered: list[ExitStack] = []

    def __enter__(self) -> None:
        stack = ExitStack()
        stack.enter_context(self._products)
        stack.enter_context(plainly(self._plain))
        stack.enter_context(given(self._results))
        self._entered.append(stack)

    def __exit__(self, *_) -> None:
        self._entered.pop().close()
