"""Windows over a stream: every frame once, from where it has its context, in bounded memory."""

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.inference.streaming import check_window, restore_in_windows


def moving_sum(reach):
    """What a network with a known reach in time makes of a clip."""
    return lambda held: [sum(held[max(0, i - reach) : i + reach + 1]) for i in range(len(held))]


@pytest.mark.parametrize('count', [1, 2, 4, 5, 6, 7, 8, 9, 23, 24, 25, 26])
@pytest.mark.parametrize(('window', 'context'), [(1, 0), (5, 0), (5, 1), (5, 2), (8, 3)])
def test_with_enough_context_it_is_what_the_whole_clip_gives(count, window, context):
    frames = [3**i for i in range(count)]
    restore = moving_sum(context)
    assert list(restore_in_windows(restore, iter(frames), window, context)) == restore(frames)


def test_windows_overlap_and_the_last_one_reaches_back():
    seen = []

    def restore(held):
        seen.append(held)
        return held

    assert list(restore_in_windows(restore, range(12), 6, 2)) == list(range(12))
    assert seen == [[*range(6)], [*range(2, 8)], [*range(4, 10)], [*range(6, 12)]]
    seen.clear()
    assert list(restore_in_windows(restore, range(9), 6, 1)) == list(range(9))
    assert seen == [[*range(6)], [3, 4, 5, 6, 7, 8]]


def test_it_gives_what_is_done_before_it_asks_for_more():
    asked = []

    def frames():
        for i in range(100):
            asked.append(i)
            yield i

    stream = restore_in_windows(list, frames(), 8, 2)
    assert [next(stream) for _ in range(6)] == [*range(6)]
    assert len(asked) == 9
    next(stream)
    assert len(asked) == 13


def test_no_frames_are_none():
    assert list(restore_in_windows(list, iter(()), 4, 1)) == []


@pytest.mark.parametrize(
    ('window', 'context', 'text'),
    [(4, 2, 'make it more than 4'), (0, 0, 'from 1 and from 0 up'), (4, -1, 'from 1'), (4.0, 1, 'window is 4.0')],
)
def test_windows_without_a_frame_to_take_are_refused(window, context, text):
    with pytest.raises(UserError, match=text):
        check_window(window, context)
