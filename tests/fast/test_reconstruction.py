import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.fast.reconstruction import upsample_onto
from gsm_plugin.layers.upsample import SCALES, FrameConv, Upsample


@torch.no_grad()
@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_colours_are_added_to_images(scale, dtype):
    torch.manual_seed(0)
    upsample, to_colours = Upsample(scale, 8).to(dtype), FrameConv(8, 3).to(dtype)
    x, images = torch.randn(2, 8, 5, 4, dtype=dtype), torch.rand(2, 3, 5 * scale, 4 * scale, dtype=dtype)
    torch.testing.assert_close(upsample_onto(images, upsample, x, to_colours), images + to_colours(upsample(x)))


@torch.no_grad()
def test_the_last_bias_counts_at_the_border_as_zeros_beyond_it_do():
    upsample, to_colours = Upsample(1, 4), FrameConv(4, 1)
    x, images = torch.zeros(1, 4, 3, 3), torch.zeros(1, 1, 3, 3)
    actual = upsample_onto(images, upsample, x, to_colours)
    expected = F.conv2d(upsample(x), to_colours.weight.squeeze(2), to_colours.bias, padding=1)
    torch.testing.assert_close(actual, expected)
    assert not torch.allclose(actual[0, 0, 0, 0], actual[0, 0, 1, 1])
