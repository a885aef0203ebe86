"""Self-ensembles: along time, as BasicSR's `flip_seq`, and over flips and rotations of frames."""

import itertools
from collections.abc import Callable
from functools import reduce

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


def average_over_views(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Averages what a network makes of the eight flips and rotations of a clip, turned back (EDSR, arXiv 1707.02921).

    Args:
        network: Takes a clip (b, t, c, h, w) and gives (b, t, c, H, W).

    Returns:
        A callable of the same kind, which takes eight times as long.
    """

    def seen(clip: Tensor, is_turned: bool, axes: tuple[int, ...]) -> Tensor:
        view = (clip.transpose(-1, -2) if is_turned else clip).flip(axes).contiguous()
        output = network(view).float().flip(axes)
        return output.transpose(-1, -2) if is_turned else output

    def run(clip: Tensor) -> Tensor:
        views = itertools.product((False, True), ((), (-1,), (-2,), (-2, -1)))
        return reduce(torch.add, (seen(clip, *view) for view in views)) / 8

    return run
