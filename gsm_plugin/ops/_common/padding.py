"""Making images larger by what is in them."""

import torch
from torch import Tensor


def extend_by_reflection(x: Tensor, axis: int, side: int) -> Tensor:
    """Extends an axis at its end by reflecting it as often as it takes; the last element is not repeated.

    Args:
        x: Of any shape, not empty along the axis.
        axis: Which axis.
        side: Its new length; a smaller one than it has changes nothing.

    Returns:
        `x`, longer along the axis.
    """
    length = x.shape[axis]
    if side <= length:
        return x
    period = max(1, 2 * length - 2)
    place = torch.arange(side, device=x.device) % period
    return x.index_select(axis, torch.where(place < length, place, period - place))
