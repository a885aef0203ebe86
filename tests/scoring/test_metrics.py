"""BasicSR's PSNR and SSIM are those of scikit-image."""

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import numpy as np
import pytest
from basicsr.metrics.psnr_ssim import calculate_psnr, calculate_ssim

from tests.scoring.tiny_vsr import moving_frames, scores


@pytest.mark.parametrize('channel', ['rgb', 'y'])
@pytest.mark.parametrize('noise', [1, 8, 60])
def test_they_are_equal(channel, noise):
    gt = moving_frames(1, 61, 83)[0]
    image = (gt + np.random.default_rng(noise).integers(-noise, noise + 1, gt.shape)).clip(0, 255).astype(np.uint8)
    expected = scores(image[..., ::-1], gt[..., ::-1], channel)
    for calculate, value in zip((calculate_psnr, calculate_ssim), expected, strict=True):
        assert calculate(image, gt, crop_border=0, test_y_channel=channel == 'y') == pytest.approx(value, abs=1e-5)
