import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import convolve_3x3
from gsm_plugin.ops.convolve_3x3 import torch_impl
from gsm_plugin.ops.convolve_3x3.naive import convolve_3x3_naive
from gsm_plugin.ops.convolve_3x3.torch_impl import Convolution
from gsm_plugin.ops.dispatch import choose_backend, implementation
from gsm_plugin.switches import tf32
from tests.ops.comparison import assert_same_function
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


@pytest.mark.parametrize('sizes', [*SIZES, (2, 16, 20, 13, 6), (1, 20, 33, 8, 40)])
@pytest.mark.parametrize('last', [True, False])
@pytest.mark.parametrize('tiles', [128, 3])
def test_numba_matches_naive_in_outputs_and_gradients(monkeypatch, sizes, last, tiles):
    pytest.importorskip('numba')
    function = implementation('convolve_3x3', 'numba')
    monkeypatch.setitem(function.__globals__, '_TILES', tiles)
    x, weight, _ = (tensor.cpu() for tensor in tensors(*sizes))
    x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    assert_same_function(function, convolve_3x3_naive, (x, weight / (3 * weight.shape[1] ** 0.5)), torch.float32)


def test_numba_makes_no_gradient_that_is_not_wanted():
    pytest.importorskip('numba')
    x, weight, _ = (tensor.cpu().float() for tensor in tensors(*SIZES[0]))
    function = implementation('convolve_3x3', 'numba')
    for of_x in (True, False):
        leaf = (x if of_x else weight).clone().requires_grad_()
        output = function(leaf, weight) if of_x else function(x, leaf)
        (gradient,) = torch.autograd.grad(output.sum(), leaf)
        assert gradient.shape == leaf.shape


def test_numba_leaves_what_is_small_and_what_autocast_rounds_to_pytorch():
    pytest.importorskip('numba')

    def chosen(*sizes):
        arguments = [tensor.cpu().float() for tensor in tensors(*sizes)[:2]]
        return choose_backend('convolve_3x3', 'auto', 'cpu', torch.float32, tuple(arguments)).name

    assert chosen(1, 32, 64, 64, 64) == 'numba'
    assert chosen(1, 32, 64, 16, 16) == chosen(1, 64, 3, 256, 256) == 'torch'
    with torch.autocast('cpu', torch.bfloat16):
        assert chosen(1, 32, 64, 64, 64) == 'torch'


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
