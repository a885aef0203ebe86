import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.windows import Window, plan_segments, plan_windows


def test_a_short_scene_is_one_window():
    assert plan_windows(10, 42, 32, 8) == [Window(10, 42, 10, 42)]


def test_windows_share_a_scene_and_the_last_one_reaches_back():
    assert plan_windows(0, 70, 32, 8) == [
        Window(0, 30, 0, 22),
        Window(14, 44, 22, 36),
        Window(28, 58, 36, 49),
        Window(40, 70, 49, 70),
    ]
    # one frame more than a window has
    assert plan_windows(0, 97, 96, 8) == [Window(0, 57, 0, 48), Window(40, 97, 48, 97)]


@given(st.integers(0, 50), st.integers(1, 300), st.integers(1, 40), st.integers(0, 19))
def test_every_frame_is_kept_once_and_sees_its_context(start, frames, length, context):
    if length <= 2 * context and frames > length:
        with pytest.raises(UserError, match='--window'):
            plan_windows(start, start + frames, length, context)
        return
    windows = plan_windows(start, start + frames, length, context)
    # fewer would not do, and seldom do they see more frames twice than they have to
    least = 1 if frames <= length else -(-(frames - 2 * context) // (length - 2 * context))
    assert len(windows) == least
    assert sum(window.stop - window.start for window in windows) < frames + 2 * context * (least - 1) + least
    kept = [frame for window in windows for frame in range(window.keep_start, window.keep_stop)]
    assert kept == list(range(start, start + frames))
    for window in windows:
        assert window.stop - window.start == windows[0].stop - windows[0].start <= length
        assert window.keep_start == start or window.keep_start - window.start >= context
        assert window.keep_stop == start + frames or window.stop - window.keep_stop >= context


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(1, 100), st.none() | st.floats(0, 0.5))
def test_segments_cover_the_film_and_cross_no_cut(lengths, size, last):
    cuts = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    scenes = list(itertools.pairwise(cuts))
    segments = plan_segments(scenes, 100, 4, size, last)
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert [frame for segment in segments for frame in range(segment.start, segment.stop)] == list(range(cuts[-1]))
    for segment in segments:
        first, last = scenes[segment.scene]
        assert all(first <= window.start < window.stop <= last for window in segment.windows)


def test_a_films_last_window_is_short_where_the_encoder_would_wait_for_a_long_one():
    scenes = [(0, 100), (100, 200)]
    (first, *whole), (*_, short) = (plan_segments(scenes, 100, 8, 1000, last) for last in (None, 0.3))
    assert first.windows == (Window(0, 100, 0, 100),)
    assert [segment.windows for segment in whole] == [(Window(100, 200, 100, 200),)]
    assert short.windows == (Window(100, 178, 100, 170), Window(162, 200, 170, 200))
    # two parts of a scene that is short itself would cost more than they spare
    assert plan_segments([(0, 71)], 100, 8, 1000, 0.3) == plan_segments([(0, 71)], 100, 8, 1000)


def test_the_windows_of_a_scene_do_not_depend_on_where_it_lies():
    alone = plan_windows(0, 100, 32, 8)
    moved = plan_windows(57, 157, 32, 8)
    assert [Window(*(value + 57 for value in vars(window).values())) for window in alone] == moved
