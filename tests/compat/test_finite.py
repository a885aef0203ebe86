"""BasicSR's own scores and images hold numbers: an exact frame has a bounded PSNR, an output of NaN is refused."""

import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_metric
from basicsr.metrics.psnr_ssim import calculate_psnr
from basicsr.utils import tensor2img

from gsm_plugin.errors import UserError

GREY = np.full((24, 20, 3), 77, np.uint8)


def psnr(image, **options):
    options = {'type': 'calculate_psnr', 'crop_border': 0, **options}
    return calculate_metric({'img': image, 'img2': GREY}, options)


@pytest.mark.parametrize('options', [{}, {'crop_border': 2}, {'test_y_channel': True}])
def test_equal_images_count_as_a_hundred_decibels(options):
    assert psnr(GREY.copy(), **options) == 100


def test_images_that_are_equal_within_the_border_count_so_too():
    image = GREY.copy()
    image[0, 0] = 0
    assert psnr(image, crop_border=1) == 100
    assert psnr(image) < 40


def test_other_images_keep_their_number():
    image = GREY.copy()
    image[3, 4, 1] += 1
    assert psnr(image) == pytest.approx(10 * np.log10(255**2 * image.size))


def test_no_image_is_better_than_an_equal_one():
    large = np.full((1000, 1000, 3), 77, np.uint8)
    other = large.copy()
    other[0, 0, 0] -= 1
    assert calculate_psnr(large, other, crop_border=0) > 100
    assert calculate_metric({'img': large, 'img2': other}, {'type': 'calculate_psnr', 'crop_border': 0}) == 100


def test_other_metrics_and_the_function_itself_stay_as_they_are():
    assert calculate_psnr(GREY, GREY, crop_border=0) == float('inf')
    assert calculate_metric({'img': GREY, 'img2': GREY}, {'type': 'calculate_ssim', 'crop_border': 0}) == 1


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('wrap', [lambda image: image, lambda image: [torch.zeros(3, 4, 4), image]])
def test_an_image_of_no_numbers_is_refused(value, wrap):
    image = torch.rand(3, 4, 4)
    image[1, 2, 3] = value
    with pytest.raises(UserError, match='values that are no numbers'):
        tensor2img(wrap(image))


def test_other_images_are_turned_as_before():
    image = torch.tensor([-1.0, 0.25, 7.0]).view(3, 1, 1).repeat(1, 2, 2)
    np.testing.assert_array_equal(tensor2img([image], rgb2bgr=False)[0, 0], [0, 64, 255])
