import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import convolve_3x3
from gsm_plugin.ops.convolve_3x3 import torch_impl
from gsm_plugin.ops.convolve_3x3.naive import convolve_3x3_naive
from gsm_plugin.ops.convolve_3x3.torch_impl import Convolution
from gsm_plugin.switches import tf32
from tests.ops.triton_device import DEVICE

SIZES = [(2, 5, 7, 9, 11), (1, 3, 4, 1, 1)]


def tensors(n, c, m, h, w):
    generator = torch.Generator().manual_seed(0)
    shapes = (n, c, h, w), (m, c, 3, 3), (n, m, h, w)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE) for shape in shapes]


@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('of_images', [True, False])
def test_without_a_search_output_and_gradients_are_the_same(sizes, of_images):
    *arguments, cotangent = tensors(*sizes)
    results = []
    for function in (Convolution.apply, lambda x, weight: F.conv2d(x, weight, padding=1), convolve_3x3_naive):
        x, weight = (argument.clone().requires_grad_() for argument in arguments)
        # those of the first layer need no gradient
        output = function(x if of_images else x.detach(), weight)
        wanted = (x, weight) if of_images else (weight,)
        results.append((output, *torch.autograd.grad(output, wanted, cotangent)))
    for actual, pytorchs, expected in zip(*results, strict=True):
        torch.testing.assert_close(pytorchs, expected)
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize('gradients', [True, False])
def test_the_type_is_that_of_autocast(gradients):
    x, weight, _ = tensors(*SIZES[0])
    x, weight = x.float(), weight.float().requires_grad_()
    for function in (convolve_3x3, Convolution.apply):
        with torch.set_grad_enabled(gradients), torch.autocast(DEVICE, torch.bfloat16):
            output = function(x, weight)
        assert output.dtype == torch.bfloat16
        assert output.requires_grad == gradients
    if gradients:
        (gradient,) = torch.autograd.grad(output.float().sum(), weight)
        assert gradient.dtype == torch.float32


@pytest.mark.parametrize('on', [True, False])
def test_neither_pass_searches_and_both_are_by_tf32_or_neither(monkeypatch, on):
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    seen = []

    def noted(function):
        def call(*args, **kwargs):
            seen.append((torch.backends.cudnn.benchmark, tf32.convolutions.is_on()))
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(torch_impl.F, 'conv2d', noted(F.conv2d))
    monkeypatch.setattr(torch_impl, '_gradients', noted(torch.ops.aten.convolution_backward))
    x, weight, _ = tensors(*SIZES[0])
    with tf32.convolutions.turned(on):
        y = Convolution.apply(x, weight.requires_grad_())
    with tf32.convolutions.turned(not on):
        y.sum().backward()
        assert tf32.convolutions.is_on() != on
    assert seen == [(False, on), (False, on)]
    assert torch.backends.cudnn.benchmark
