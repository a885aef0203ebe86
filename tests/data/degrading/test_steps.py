import cv2
import numpy as np
import pytest

from gsm_plugin.data.degrading import steps
from gsm_plugin.data.degrading.drift import Drift
from gsm_plugin.options.declared.degradation_section import KERNELS
from tests.data.pictures import picture

HELD = Drift(0.0, 0.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(level=128, side=64):
    return np.full((side, side, 3), level, np.uint8)


@pytest.mark.parametrize('kind', KERNELS)
@pytest.mark.parametrize('size', [7, 13])
def test_every_blur_keeps_flat_light_and_takes_detail(kind, size):
    blur = steps.draw_blur(kind, size, (1.5, 2.5), HELD, rng(1))
    assert np.abs(blur(flat(), 0.0).astype(int) - 128).max() <= 1
    image = picture(64, 64, sigma=0.6)
    assert (
        np.abs(np.diff(blur(image, 0.0).astype(float), axis=1)).mean()
        < np.abs(np.diff(image.astype(float), axis=1)).mean()
    )


def test_an_isotropic_blur_is_opencvs_gaussian():
    image = picture(64, 64)
    actual = steps.draw_blur('iso', 21, (2.0, 2.0), HELD, rng())(image, 0.5)
    expected = cv2.GaussianBlur(image, (21, 21), 2.0, borderType=cv2.BORDER_REFLECT_101)
    assert np.abs(actual.astype(int) - expected).max() <= 1


def test_gaussian_noise_has_its_strength_at_every_light():
    add = steps.draw_gaussian_noise((8, 8), False, HELD, rng())
    for level in (60, 190):
        assert add(flat(level), 0.0).std() == pytest.approx(8, rel=0.05)


def test_poisson_noise_grows_with_the_root_of_light():
    add = steps.draw_poisson_noise((0.5, 0.5), False, HELD, rng())
    dark, light = (add(flat(level), 0.0).std() for level in (50, 200))
    assert light == pytest.approx(0.5 * 16 * np.sqrt(200 / 255), rel=0.05)
    assert light / dark == pytest.approx(2, rel=0.08)


def test_gray_noise_is_the_same_in_all_channels():
    noisy = steps.draw_gaussian_noise((8, 8), True, HELD, rng())(flat(), 0.0)
    assert (noisy[..., 0] == noisy[..., 1]).all()
    coloured = steps.draw_gaussian_noise((8, 8), False, HELD, rng())(flat(), 0.0)
    assert (coloured[..., 0] != coloured[..., 1]).any()


def test_jpeg_of_low_quality_is_worse():
    image = picture(64, 64)
    low, high = (steps.draw_jpeg((q, q), HELD, rng())(image, 0.0).astype(float) for q in (20, 95))
    assert np.abs(low - image).mean() > 2 * np.abs(high - image).mean()


def test_a_parameter_holds_still_or_drifts_smoothly_within_its_range():
    still = [HELD.draw((1, 3), rng(seed)) for seed in range(20)]
    assert all(one.start == one.end for one in still)
    drifting = [Drift(1.0, 0.2).draw((1, 3), rng(seed)) for seed in range(20)]
    assert all(0 < abs(one.end - one.start) <= 0.4 + 1e-9 for one in drifting)
    assert all(1 <= one.at(time) <= 3 for one in drifting for time in (0, 0.3, 1))
    values = np.array([drifting[0].at(time) for time in np.linspace(0, 1, 11)])
    assert values[0] == drifting[0].start
    assert (np.diff(values) > 0).all() or (np.diff(values) < 0).all()


def test_drift_shows_in_the_frames():
    blur = steps.draw_blur('iso', 15, (0.3, 3.0), Drift(1.0, 1.0), rng(2))
    image = picture(64, 64, sigma=0.6)
    detail = [np.abs(np.diff(blur(image, time).astype(float))).mean() for time in (0.0, 0.5, 1.0)]
    assert detail[0] < detail[1] < detail[2] or detail[0] > detail[1] > detail[2]
