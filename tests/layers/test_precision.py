import pytest
import torch

from gsm_plugin.layers.precision import ends_in_training, float32_by_tf32, precision_of_products
from gsm_plugin.switches import tf32

HALF = torch.bfloat16, torch.float16


@pytest.mark.parametrize('autocast', [None, *HALF])
@pytest.mark.parametrize('instead_of', [HALF[:1], HALF])
def test_layers_are_in_float32_by_tf32_instead_of_some_types(autocast, instead_of):
    x, before = torch.rand(2), tf32.products.is_on()
    with torch.autocast('cpu', autocast, enabled=autocast is not None):
        with float32_by_tf32(x, *instead_of) as replaced:
            expected = autocast in instead_of
            assert replaced == (autocast if expected else None)
            assert precision_of_products(x) == (torch.float32 if expected else autocast or torch.float32)
            assert tf32.products.is_on() == (expected or before)
        assert tf32.products.is_on() == before
        assert precision_of_products(x) == (autocast or torch.float32)


@pytest.mark.parametrize('autocast', [None, *HALF])
@pytest.mark.parametrize('on', [True, False])
def test_ends_are_float32_without_tf32_under_autocast(autocast, on):
    x = torch.rand(2)
    with torch.autocast('cpu', autocast, enabled=autocast is not None), tf32.convolutions.turned(on):
        with ends_in_training(x):
            assert precision_of_products(x) == torch.float32
            assert tf32.convolutions.is_on() == (on and autocast is None)
        assert tf32.convolutions.is_on() == on
        assert precision_of_products(x) == (autocast or torch.float32)
