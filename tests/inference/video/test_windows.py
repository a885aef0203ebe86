import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.windows import Window, plan_segments, plan_windows


def test_a_short_scene_is_one_window():
    assert plan_windows(10, 42, 32, 8) == [Window(10, 42, 10, 42)]


def test_the_last_window_reaches_back_and_has_the_full_length():
    assert plan_windows(0, 70, 32, 8) == [
        Window(0, 32, 0, 24),
        Window(16, 48, 24, 40),
        Window(32, 64, 40, 51),
        Window(38, 70, 51, 70),
    ]


@given(st.integers(0, 50), st.integers(1, 300), st.integers(1, 40), st.integers(0, 19))
def test_every_frame_is_kept_once_and_sees_its_context(start, frames, length, context):
    if length <= 2 * context and frames > length:
        with pytest.raises(UserError, match='--window'):
            plan_windows(start, start + frames, length, context)
        return
    windows = plan_windows(start, start + frames, length, context)
    kept = [frame for window in windows for frame in range(window.keep_start, window.keep_stop)]
    assert kept == list(range(start, start + frames))
    for window in windows:
        assert window.stop - window.start == min(length, frames)
        assert window.keep_start == start or window.keep_start - window.start >= context
        assert window.keep_stop == start + frames or window.stop - window.keep_stop >= context


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(1, 100))
def test_segments_cover_the_film_and_cross_no_cut(lengths, size):
    cuts = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    scenes = list(itertools.pairwise(cuts))
    segments = plan_segments(scenes, 16, 4, size)
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert [frame for segment in segments for frame in range(segment.start, segment.stop)] == list(range(cuts[-1]))
    for segment in segments:
        first, last = scenes[segment.scene]
        assert all(first <= window.start < window.stop <= last for window in segment.windows)


def test_the_windows_of_a_scene_do_not_depend_on_where_it_lies():
    alone = plan_windows(0, 100, 32, 8)
    moved = plan_windows(57, 157, 32, 8)
    assert [Window(*(value + 57 for value in vars(window).values())) for window in alone] == moved
