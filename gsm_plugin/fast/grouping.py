"""Frames in groups: memory that does not grow with the clip."""

from collections.abc import Callable, Iterable

from torch import Tensor


def run_in_groups(function: Callable[..., Tensor], *tensors: Tensor, pixels: int, at_once: int) -> Tensor:
    """Calls a function on groups of the frames of some tensors, one after the other.

    Args:
        function: Treats frames independently: tensors (n, ...) to a tensor (n, ...).
        *tensors: Its arguments, of one length n.
        pixels: Pixels of a frame.
        at_once: A group has at most so many pixels, but at least a frame.

    Returns:
        What the function gives for all frames.
    """
    number, group = len(tensors[0]), max(1, at_once // pixels)
    groups = [slice(start, min(start + group, number)) for start in range(0, number, group)]
    return join((function(*(x[frames] for x in tensors)) for frames in groups), groups, 0)


def join(parts: Iterable[Tensor], places: Iterable[slice], axis: int, whole: Tensor | None = None) -> Tensor:
    """Puts parts together as they are made, so that no two of them are in memory besides the whole.

    Args:
        parts: Tensors.
        places: Where each of them belongs along an axis; all places together are the whole, none of them overlap.
        axis: The axis.
        whole: What is overwritten by the parts, unless they are in it already; None makes it.

    Returns:
        The whole, which is the part itself if there is one alone.
    """
    places = list(places)
    if len(places) == 1:
        return next(iter(parts))
    for part, place in zip(parts, places, strict=True):
        if whole is None:
            length = sum(place.stop - place.start for place in places)
            whole = part.new_empty(*part.shape[:axis], length, *part.shape[axis + 1 :])
        own = whole.narrow(axis, place.start, place.stop - place.start)
        if own.data_ptr() != part.data_ptr():
            own.copy_(part)
    assert whole is not None
    return whole
