import math

import pytest

from gsm_plugin.scoring.results.averages import finite_mean, note_of

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    'values, mean', [((1.0, 3.0), 2), ((1.0, NAN, 5.0), 3), ((INF, 2.0), 2), ((-INF, INF, NAN, 4.0), 4)]
)
def test_a_mean_is_that_of_the_numbers(values, mean):
    assert finite_mean(values) == mean


@pytest.mark.parametrize('values', [(), (NAN,), (INF, -INF)])
def test_without_numbers_there_is_no_mean(values):
    assert math.isnan(finite_mean(values))


def test_what_is_counted_otherwise_is_said_with_the_names_of_the_frames():
    frames = ('a', 'b', 'c', 'd', 'e')
    assert note_of('psnr', frames, (30.0, 100.0, 31.0, 29.0, 40.0)) == (
        'frame b is like the ground truth, PSNR counts as 100 dB there'
    )
    assert note_of('lpips', frames, (NAN, INF, NAN, -INF, 0.1)) == (
        'no number for lpips of frames a, b, c and 1 more, which its mean leaves out'
    )
    assert note_of('lpips', frames, (100.0,) * 5) is None
    assert note_of('psnr', frames, (30.0, 99.9, 31.0, 29.0, 40.0)) is None
