import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import shuffle_leaky_relu
from gsm_plugin.ops.shuffle_leaky_relu.naive import shuffle_leaky_relu_naive
from gsm_plugin.ops.shuffle_leaky_relu.torch_impl import shuffle_leaky_relu_torch
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

FACTORS = pytest.mark.parametrize(('factor', 'slope'), [(1, 1.0), (1, 0.01), (2, 0.1), (2, 1.0), (3, 0.1), (4, 0.5)])


def triton_backend(factor, slope):
    pytest.importorskip('triton')
    from gsm_plugin.ops.shuffle_leaky_relu.triton_impl import shuffle_leaky_relu_triton

    return on_device(lambda x, bias: shuffle_leaky_relu_triton(x, bias, factor, slope))


def of(function, factor, slope, order=torch.channels_last):
    return lambda x, bias: function(x.contiguous(memory_format=order), bias, factor, slope)


def tensors(n, c, h, w, factor):
    return random_tensors((n, c * factor**2, h, w), (c * factor**2,))


def test_naive_is_what_pytorch_makes_of_it():
    x, bias = tensors(2, 5, 3, 4, 2)
    expected = F.leaky_relu(F.pixel_shuffle(x + bias[:, None, None], 2), 0.1)
    torch.testing.assert_close(shuffle_leaky_relu(x, bias, 2, 0.1, 'naive'), expected)


@FACTORS
@pytest.mark.parametrize('order', [torch.channels_last, torch.contiguous_format])
def test_torch_matches_naive(order, factor, slope):
    functions = (
        of(function, factor, slope, order) for function in (shuffle_leaky_relu_torch, shuffle_leaky_relu_naive)
    )
    assert_same_function(*functions, tensors(2, 3, 5, 7, factor))


@FACTORS
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('sides', [(1, 1, 1, 1), (2, 5, 3, 7), (1, 64, 9, 6)])
def test_triton_matches_naive(sides, dtype, factor, slope):
    inputs = tensors(*sides, factor)
    assert_same_function(triton_backend(factor, slope), of(shuffle_leaky_relu_naive, factor, slope), inputs, dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_triton_matches_naive_at_the_size_of_a_frame(dtype):
    inputs = tensors(1, 64, 360, 640, 2)
    assert_same_function(triton_backend(2, 0.1), of(shuffle_leaky_relu_naive, 2, 0.1), inputs, dtype)


@pytest.mark.parametrize('order', [torch.channels_last, torch.contiguous_format])
def test_the_order_of_memory_stays(order):
    x, bias = tensors(2, 3, 5, 7, 2)
    x = x.contiguous(memory_format=order)
    assert shuffle_leaky_relu(x.to(DEVICE), bias.to(DEVICE), 2, 0.1).is_contiguous(memory_format=order)


def test_triton_takes_no_pixels():
    assert triton_backend(2, 0.1)(torch.empty(0, 8, 3, 3), torch.zeros(8)).shape == (0, 2, 6, 6)


def test_what_does_not_fit_is_named():
    x, bias = torch.zeros(1, 8, 2, 2), torch.zeros(8)
    for message, *arguments in (
        (r'x has the shape \(1, 8, 2, 2\); with factor 3 give \(n, c \* factor\*\*2, h, w\)', x, bias, 3),
        (r'bias has the shape \(7,\); x \(1, 8, 2, 2\) needs \(8,\)', x, bias[1:], 2),
        ('slope is 0; set a number greater than 0', x, bias, 2, 0),
    ):
        with pytest.raises(ValueError, match=message):
            shuffle_leaky_relu(*arguments)
