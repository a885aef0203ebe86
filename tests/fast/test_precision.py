import pytest
import torch

from gsm_plugin.fast.precision import autocast_as_kept, ends_in_inference, precision_of_sums
from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.switches import tf32

AUTOCAST = None, torch.bfloat16, torch.float16


@pytest.mark.parametrize('autocast', AUTOCAST)
@pytest.mark.parametrize('on', [True, False])
def test_under_autocast_ends_and_sums_are_float16_and_tf32_is_as_it_was(autocast, on):
    x = torch.rand(2)
    expected = torch.float32 if autocast is None else torch.float16
    with torch.autocast('cpu', autocast, enabled=autocast is not None), tf32.convolutions.turned(on):
        with ends_in_inference(x):
            assert precision_of_products(x) == expected
            assert tf32.convolutions.is_on() == on
        assert precision_of_sums(x, x) == expected
        assert precision_of_products(x) == (autocast or torch.float32)
    assert precision_of_sums(x, x.double()) == torch.float64


@pytest.mark.parametrize('autocast', AUTOCAST)
@pytest.mark.parametrize('kept', [torch.float32, torch.float16])
def test_frames_that_are_kept_in_half_precision_are_multiplied_in_it(autocast, kept):
    x = torch.rand(2, dtype=kept)
    with torch.autocast('cpu', autocast, enabled=autocast is not None), autocast_as_kept(x):
        assert precision_of_products(x) == (autocast if autocast and kept == torch.float32 else kept)
