import pytest
import torch

from gsm_plugin.layers.precision import precision_of_ends, precision_of_products, tf32_in_training
from gsm_plugin.ops import tf32

HALF = torch.bfloat16, torch.float16


@pytest.mark.parametrize('gradients', [True, False])
@pytest.mark.parametrize('autocast', [None, *HALF])
@pytest.mark.parametrize('instead_of', [HALF[:1], HALF])
def test_training_is_in_float32_by_tf32_instead_of_some_types(gradients, autocast, instead_of):
    x, before = torch.rand(2), tf32.products.is_on()
    with torch.set_grad_enabled(gradients), torch.autocast('cpu', autocast, enabled=autocast is not None):
        with tf32_in_training(x, *instead_of) as replaced:
            expected = gradients and autocast in instead_of
            assert replaced == (autocast if expected else None)
            assert precision_of_products(x) == (torch.float32 if expected else autocast or torch.float32)
            assert tf32.products.is_on() == (expected or before)
        assert tf32.products.is_on() == before
        assert precision_of_products(x) == (autocast or torch.float32)


@pytest.mark.parametrize('gradients', [True, False])
@pytest.mark.parametrize('autocast', [None, *HALF])
@pytest.mark.parametrize('on', [True, False])
def test_ends_are_float32_without_tf32_in_training_under_autocast_and_float16_in_inference(gradients, autocast, on):
    x, trains = torch.rand(2), gradients and autocast is not None
    with torch.set_grad_enabled(gradients), torch.autocast('cpu', autocast, enabled=autocast is not None):
        with tf32.convolutions.turned(on):
            with precision_of_ends(x):
                expected = torch.float32 if gradients or autocast is None else torch.float16
                assert precision_of_products(x) == expected
                assert tf32.convolutions.is_on() == (on and not trains)
            assert tf32.convolutions.is_on() == on
        assert precision_of_products(x) == (autocast or torch.float32)
