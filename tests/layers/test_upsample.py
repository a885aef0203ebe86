import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.layers.upsample import SCALES, FrameConv, Upsample


@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_onto_images_is_the_sum_of_both_with_gradients_and_without(scale, dtype):
    torch.manual_seed(0)
    upsample, to_colours = Upsample(scale, 8).to(dtype), FrameConv(8, 3).to(dtype)
    x, images = torch.randn(2, 8, 5, 4, dtype=dtype), torch.rand(2, 3, 5 * scale, 4 * scale, dtype=dtype)
    expected = images + to_colours(upsample(x))
    for with_gradients in (True, False):
        with torch.set_grad_enabled(with_gradients):
            torch.testing.assert_close(upsample.onto(images, x, to_colours), expected)


def test_the_last_bias_counts_at_the_border_as_zeros_beyond_it_do():
    upsample, to_colours = Upsample(1, 4), FrameConv(4, 1)
    x, images = torch.zeros(1, 4, 3, 3), torch.zeros(1, 1, 3, 3)
    features = upsample(x)
    with torch.no_grad():
        actual = upsample.onto(images, x, to_colours)
    expected = F.conv2d(features, to_colours.weight.squeeze(2), to_colours.bias, padding=1)
    torch.testing.assert_close(actual, expected)
    assert not torch.allclose(actual[0, 0, 0, 0], actual[0, 0, 1, 1])


def test_an_unknown_scale_is_named():
    with pytest.raises(ValueError, match=r'upscale is 5; set one of 1, 2, 3, 4, 8\.'):
        Upsample(5, 8)
