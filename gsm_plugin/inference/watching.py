"""Says which part of a network is at work, while a long clip is computed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def watching(network: nn.Module, tell: Callable[[str], None], every_s: float = 1.0) -> Iterator[None]:
    """Tells the part of a network that has just done something, such as `prop_layers 2/4, step 37`.

    Args:
        network: The network; what it replays as a CUDA graph is not seen.
        tell: Takes a text.
        every_s: At least so many seconds lie between two of them.
    """
    parts = {module: _part(network, name) for name, module in network.named_modules() if name}
    told_at, steps = time.monotonic(), 0

    def look(module: nn.Module, *_: object) -> None:
        nonlocal told_at, steps
        steps += 1
        now = time.monotonic()
        if now - told_at >= every_s:
            told_at = now
            tell(f'{parts[module]}, step {steps}')

    handles = [module.register_forward_hook(look) for module in parts if not list(module.children())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _part(network: nn.Module, name: str) -> str:
    """The outermost list of layers that a module is in, with its place there; otherwise the outermost module."""
    names = name.split('.')
    for depth in range(1, len(names)):
        above = network.get_submodule('.'.join(names[:depth]))
        if isinstance(above, nn.ModuleList | nn.Sequential) and len(above) > 1:
            places = list(dict(above.named_children()))
            return f'{names[depth - 1]} {places.index(names[depth]) + 1}/{len(above)}'
    return names[0]
