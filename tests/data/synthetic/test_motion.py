import numpy as np
import pytest

from gsm_plugin.data.synthetic.layers import Layer, with_alpha
from gsm_plugin.data.synthetic.motion import Curve, Motion, MotionRanges, draw_motion, greatest_step, rest
from gsm_plugin.data.synthetic.rendering import render
from tests.data.pictures import picture

STILL = Curve(0.0, 0.0)


def moving(x, place=(20, 20), anchor=(50, 50)):
    return Motion(anchor, place, Curve(x, 0.0), STILL, STILL, STILL, STILL)


def test_a_picture_at_rest_is_cut_out_as_it_is():
    image = picture()
    frames = render([Layer(image, rest((50, 40), (16, 16)))], [0.0, 3.0], 32)
    np.testing.assert_array_equal(frames[0], image[24:56, 34:66])
    np.testing.assert_array_equal(frames[1], frames[0])


def test_whole_pixels_of_motion_move_the_picture_by_so_many():
    frames = render([Layer(picture(), moving(3.0))], [0.0, 1.0], 40)
    np.testing.assert_array_equal(frames[1][:, 3:], frames[0][:, :-3])


def test_motion_accelerates_smoothly():
    ranges = MotionRanges((4, 4), (0, 1), (0, 0.01), (0, 0.003), 1.0, 0.0)
    motion = draw_motion(ranges, 10, (0, 0), (0, 0), np.random.default_rng(3))
    ways = np.array([[motion.x.at(time), motion.y.at(time)] for time in range(-5, 6)])
    steps = np.diff(ways, axis=0)
    assert np.linalg.norm(steps.mean(0)) == pytest.approx(4, abs=0.01)
    np.testing.assert_allclose(np.diff(steps, axis=0), np.diff(steps, axis=0)[:1].repeat(9, 0), atol=1e-9)
    assert np.abs(np.diff(steps, axis=0)).max() > 0


def test_an_object_covers_and_uncovers_what_is_behind():
    square = with_alpha(np.full((8, 8, 3), 255, np.uint8), np.full((8, 8), 255, np.uint8))
    behind = Layer(np.zeros((60, 60, 3), np.uint8), rest((20, 20), (20, 20)))
    before = Layer(square, Motion((7.5, 7.5), (19.5, 19.5), Curve(5.0, 0.0), STILL, STILL, STILL, STILL))
    frames = render([behind, before], [-2.0, 0.0, 2.0], 40)
    for frame, middle in zip(frames, (9.5, 19.5, 29.5), strict=True):
        rows, columns = np.nonzero(frame[..., 0] > 127)
        assert (rows.mean(), columns.mean()) == (pytest.approx(19.5, abs=0.1), pytest.approx(middle, abs=0.1))
        assert len(rows) == 64


def test_a_shutter_blurs_along_the_motion_and_only_there():
    image = picture()
    sharp, blurred = (render([Layer(image, moving(12.0))], [0.0, 1.0], 40, shutter)[0] for shutter in (0.0, 0.8))

    def detail(frame, axis):
        return np.abs(np.diff(frame.astype(float), axis=axis)).mean()

    assert detail(blurred, 1) < 0.5 * detail(sharp, 1)
    assert detail(blurred, 0) / detail(sharp, 0) > 1.3 * detail(blurred, 1) / detail(sharp, 1)


def test_what_hardly_moves_is_not_blurred():
    layer = Layer(picture(), moving(0.5))
    np.testing.assert_array_equal(render([layer], [0.0, 1.0], 40, 0.9), render([layer], [0.0, 1.0], 40))


def test_greatest_step_is_that_of_the_fastest_corner():
    turning = Motion((0, 0), (0, 0), STILL, STILL, Curve(90.0, 0.0), STILL, STILL)
    assert greatest_step(turning, [0.0, 1.0], 10) == pytest.approx(20.0)
