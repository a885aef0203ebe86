import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.layers.upsample import SCALES, Upsample


@pytest.mark.parametrize('scale', SCALES)
def test_each_step_convolves_shuffles_and_activates_and_the_last_one_convolves(scale):
    torch.manual_seed(0)
    upsample, x = Upsample(scale, 8).double(), torch.randn(2, 8, 5, 4, dtype=torch.double)
    expected = x
    for conv, factor in zip(upsample.children(), [*upsample.factors, None], strict=True):
        expected = F.conv2d(expected, conv.weight.squeeze(2), conv.bias, padding=1)
        if factor is not None:
            expected = F.leaky_relu(F.pixel_shuffle(expected, factor), 0.1)
    torch.testing.assert_close(upsample(x), expected)
    assert expected.shape == (2, 8, 5 * scale, 4 * scale)


def test_an_unknown_scale_is_named():
    with pytest.raises(ValueError, match=r'upscale is 5; set one of 1, 2, 3, 4, 8\.'):
        Upsample(5, 8)
