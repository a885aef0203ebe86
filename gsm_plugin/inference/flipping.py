"""Self-ensemble along time, as BasicSR's `flip_seq`."""

from collections.abc import Callable

import torch
from torch import Tensor


def average_with_reversed(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Lets a network see each clip followed by its reverse, and averages the two outputs that each frame gets.

    Args:
        network: Takes a clip (b, t, c, h, w) and gives t frames (b, t, c, H, W).

    Returns:
        A callable of the same kind, which hands clips of twice the length to `network`.
    """

    def run(clip: Tensor) -> Tensor:
        frames = clip.shape[1]
        output = network(torch.cat([clip, clip.flip(1)], dim=1))
        return 0.5 * (output[:, :frames] + output[:, frames:].flip(1))

    return run
