"""Each degradation against its definition written out pixel by pixel, and against values that are stored here."""

import math

import numpy as np
import pytest

from gsm_plugin.data.degradations import DEGRADATIONS, blur_down, blur_down_duf, degrade, least_side
from gsm_plugin.errors import UserError


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def gaussian(size, sigma):
    """MATLAB's fspecial('gaussian', size, sigma)."""
    r = np.arange(size) - (size - 1) / 2
    h = np.exp(-(r[:, None] ** 2 + r[None, :] ** 2) / (2 * sigma**2))
    return h / h.sum()


def bd_by_definition(gt, scale=4, sigma=1.6):
    """The lines of BD_degradation.m with MATLAB's indices from 1, pixel by pixel."""
    size = math.ceil(sigma * 3) * 2 + 2
    assert size == 12
    kernel, height, width = gaussian(size, sigma), *gt.shape[:2]
    origin = (size + 1) // 2
    rows = range(scale // 2, height - scale // 2 + 1, scale)
    columns = range(scale // 2, width - scale // 2 + 1, scale)
    lq = np.zeros((len(rows), len(columns), 3))
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            for a in range(1, size + 1):
                for b in range(1, size + 1):
                    row = min(max(y + a - origin, 1), height)
                    column = min(max(x + b - origin, 1), width)
                    lq[i, j] += kernel[a - 1, b - 1] * gt[row - 1, column - 1]
    return lq


def duf_by_definition(gt, scale=4):
    """13x13 Gaussian whose centre lies on every scale-th pixel from the first on, mirrored about the border pixels."""
    kernel, height, width = gaussian(13, 0.4 * scale), *gt.shape[:2]
    lq = np.zeros((height // scale, width // scale, 3))
    for i in range(height // scale):
        for j in range(width // scale):
            for a in range(-6, 7):
                for b in range(-6, 7):
                    y, x = abs(i * scale + a), abs(j * scale + b)
                    y, x = min(y, 2 * (height - 1) - y), min(x, 2 * (width - 1) - x)
                    lq[i, j] += kernel[a + 6, b + 6] * gt[y, x]
    return lq


@pytest.mark.parametrize('size', [(16, 24), (36, 20)])
@pytest.mark.parametrize('function, definition', [(blur_down, bd_by_definition), (blur_down_duf, duf_by_definition)])
def test_a_blur_equals_its_definition(size, function, definition):
    gt = noise(*size)
    actual, exact = function(gt), definition(gt)
    assert actual.dtype == np.uint8
    assert actual.shape == (size[0] // 4, size[1] // 4, 3)
    # Half a level is the rounding.
    assert np.abs(actual - exact).max() <= 0.5 + 1e-6


@pytest.mark.parametrize('kind', ['bi', 'bd'])
def test_bi_and_bd_keep_a_slope_where_it_is(kind):
    # An LQ pixel lies in the middle of its four GT pixels: at 4 i + 1.5.
    slope = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 32, 3))
    middle = degrade(np.ascontiguousarray(slope), kind)[4:-4, 4, 0].astype(float)
    np.testing.assert_allclose(middle, 3 * (4 * np.arange(4, 12) + 1.5), atol=0.5)


def test_duf_shifts_a_slope():
    slope = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 32, 3))
    middle = degrade(np.ascontiguousarray(slope), 'bd-duf')[4:-4, 4, 0].astype(float)
    np.testing.assert_allclose(middle, 3 * 4 * np.arange(4, 12), atol=0.5)


def spot():
    image = np.zeros((16, 16, 3), np.uint8)
    image[5, 6] = (255, 200, 100)
    return image


@pytest.mark.parametrize(
    'kind, expected',
    [
        # Two pixels of LQ in double precision: by MATLAB's formula (see test_bicubic.py), and by the definitions above.
        ('bi', [[-0.73507816, -0.57653189, -0.28826594], [14.80657429, 11.61299944, 5.80649972]]),
        ('bd', [[0.28931208, 0.22691144, 0.11345572], [14.38233475, 11.28026255, 5.64013128]]),
        ('bd-duf', [[0.02305292, 0.01808072, 0.00904036], [5.97085517, 4.68302366, 2.34151183]]),
    ],
)
def test_a_spot_gives_the_stored_values(kind, expected):
    np.testing.assert_array_equal(degrade(spot(), kind)[1, :2], np.round(expected).clip(0, 255))


@pytest.mark.parametrize('kind', DEGRADATIONS)
def test_a_constant_frame_stays_constant(kind):
    assert np.unique(degrade(np.full((32, 48, 3), 77, np.uint8), kind)).tolist() == [77]


def test_what_cannot_be_degraded_is_named():
    with pytest.raises(UserError, match=r"No degradation is called 'blur'; take one of bi, bd, bd-duf\."):
        degrade(noise(16, 16), 'blur')
    with pytest.raises(UserError, match=r'18x16 pixels is no multiple of scale 4'):
        degrade(noise(18, 16), 'bi')
    with pytest.raises(UserError, match=r'bd is not defined for scale 3; take one of 2, 4\.'):
        degrade(noise(18, 18), 'bd', 3)


@pytest.mark.parametrize(
    'kind, scale', [('bi', 2), ('bi', 3), ('bi', 4), ('bi', 8), ('bd', 4), ('bd-duf', 2), ('bd-duf', 4)]
)
def test_frames_that_are_too_small_are_told_of_and_no_others(kind, scale):
    least = -(-least_side(kind, scale) // scale) * scale
    assert degrade(noise(least, least), kind, scale).shape == (least // scale, least // scale, 3)
    if least > scale:
        with pytest.raises(UserError, match=rf'too small for {kind} of scale {scale}, which needs .*; take a larger'):
            degrade(noise(least - scale, 64 * scale), kind, scale)
