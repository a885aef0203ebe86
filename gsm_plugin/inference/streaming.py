"""Frames without end, restored in windows that overlap."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from gsm_plugin.errors import UserError

Frame = TypeVar('Frame')


def check_window(window: int, context: int) -> None:
    """Refuses windows from which no frame can be taken.

    Raises:
        UserError: They are no whole numbers, or a window is not longer than its context on both sides.
    """
    if type(window) is not int or type(context) is not int or context < 0 or window < 1:
        raise UserError(f'window is {window!r} and context {context!r}; give whole numbers from 1 and from 0 up.')
    if window <= 2 * context:
        raise UserError(f'window is {window}, but context is {context} on each side; make it more than {2 * context}.')


def restore_in_windows(
    restore: Callable[[list[Frame]], Sequence[Frame]], frames: Iterable[Frame], window: int, context: int
) -> Iterator[Frame]:
    """Restores frames as they come, holding no more than a window of them and what it gives.

    Windows overlap by `2 * context` frames. Of what one gives, `context` frames are dropped at each end that is not an
    end of the clip. The last window reaches back, so that it is as long as the others; a clip that is no longer than a
    window is one.

    Args:
        restore: Takes frames that follow one another and gives as many.
        frames: The clip, of any length.
        window: Frames of a window.
        context: Frames that a window sees beyond those that are taken from it, on each side.

    Yields:
        Every frame, restored, in order.
    """
    held: deque[Frame] = deque(maxlen=window)
    read = given = start = 0
    for frame in frames:
        if read == start + window:
            # one more frame is there, so that this window is not the last one
            yield from restore(list(held))[given - start : window - context]
            given, start = read - context, read - 2 * context
        held.append(frame)
        read += 1
    if held:
        yield from restore(list(held))[given - read + len(held) :]
