import numpy as np
import pytest

from gsm_plugin.data.bicubic import resize_bicubic


def weights_of(length, factor):
    """MATLAB's weights as a matrix, (length * factor, length): Keys' cubic, widened to antialias, mirrored borders."""
    count, narrow = round(length * factor), min(factor, 1)
    weights = np.zeros((count, length))
    for i in range(count):
        centre = (i + 0.5) / factor - 0.5
        near = np.arange(np.floor(centre - 2 / narrow) - 1, np.ceil(centre + 2 / narrow) + 2).astype(int)
        x = np.abs(near - centre) * narrow
        inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        kernel = np.where(x <= 1, inner, np.where(x <= 2, outer, 0))
        mirrored = np.where(near < 0, -1 - near, np.where(near >= length, 2 * length - 1 - near, near))
        np.add.at(weights[i], mirrored, kernel / kernel.sum())
    return weights


@pytest.mark.parametrize('factor', [1 / 4, 1 / 2, 2, 4])
def test_equals_the_formula_of_matlab_in_double_precision(factor):
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    rows, columns = weights_of(32, factor), weights_of(48, factor)
    exact = np.einsum('ih,hwc,jw->ijc', rows, image / 255, columns).clip(0, 1) * 255
    actual = resize_bicubic(image, factor)
    assert actual.dtype == np.uint8
    # Half a level is the rounding to 8 bit; float32 may turn the rounding of a tie.
    assert np.abs(actual - exact).max() < 0.5 + 1e-3


def test_overshoot_is_cut_to_the_range():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 255
    enlarged = resize_bicubic(image, 4)
    assert enlarged[:, 34:38].min() == 255
    assert enlarged[:, 26:30].max() == 0


def test_a_constant_image_stays_constant():
    for factor in (1 / 4, 4):
        assert np.unique(resize_bicubic(np.full((12, 20, 3), 77, np.uint8), factor)).tolist() == [77]
