import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import sub_pixel_convolution
from gsm_plugin.ops.dispatch import choose_backend
from tests.ops.comparison import TOLERANCES, random_tensors

# images, channels, those of a pixel of the result, height, width, factor
SIZES = [(1, 3, 2, 1, 1, 1), (2, 5, 3, 7, 9, 2), (1, 32, 16, 8, 10, 2), (1, 16, 20, 6, 5, 3), (1, 16, 3, 33, 34, 1)]


def tensors(sizes, dtype=torch.float64):
    n, c, m, h, w, factor = sizes
    shapes = (n, c, h, w), (m * factor**2, c, 3, 3), (m * factor**2,)
    x, weight, bias = random_tensors(*shapes)
    return x.to(dtype), (weight / (3 * c**0.5)).to(dtype), bias.to(dtype)


@torch.no_grad()
def test_naive_is_what_pytorch_makes_of_it():
    x, weight, bias = tensors((2, 5, 3, 7, 9, 2))
    expected = F.leaky_relu(F.pixel_shuffle(F.conv2d(x, weight, bias, padding=1), 2), 0.1)
    torch.testing.assert_close(sub_pixel_convolution(x, weight, bias, 2, 0.1, 'naive'), expected)


@torch.no_grad()
@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('slope', [0.1, 1.0])
@pytest.mark.parametrize('last', [True, False])
@pytest.mark.parametrize('backend', ['numba', 'torch'])
def test_matches_naive(sizes, slope, last, backend):
    if backend == 'numba':
        pytest.importorskip('numba')
    x, weight, bias = tensors(sizes, torch.float32)
    expected = sub_pixel_convolution(x.double(), weight.double(), bias.double(), sizes[-1], slope, 'naive')
    x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    actual = sub_pixel_convolution(x, weight, bias, sizes[-1], slope, backend)
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(actual.double(), expected, atol=absolute * max(1, expected.abs().max()), rtol=relative)


@torch.no_grad()
def test_numba_gives_a_negative_number_the_slope_that_a_factor_above_one_is_as_well():
    pytest.importorskip('numba')
    x, weight, bias = tensors((1, 4, 16, 4, 4, 1), torch.float32)
    actual = sub_pixel_convolution(x, weight, bias, 1, 1.5, 'numba')
    expected = sub_pixel_convolution(x, weight, bias, 1, 1.5, 'naive')
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_under_autocast_numba_leaves_it_to_pytorch():
    arguments = *tensors((1, 3, 2, 4, 4, 1), torch.float32), 1, 1.0
    assert choose_backend('sub_pixel_convolution', 'auto', 'cpu', torch.float32, arguments).name != 'torch'
    with torch.autocast('cpu', torch.bfloat16):
        assert choose_backend('sub_pixel_convolution', 'auto', 'cpu', torch.float32, arguments).name == 'torch'
        assert sub_pixel_convolution(*arguments).dtype == torch.bfloat16


def test_refuses_gradients_shapes_and_slopes():
    x, weight, bias = tensors((1, 3, 2, 4, 4, 2))
    with pytest.raises(ValueError, match='keeps no gradients'):
        sub_pixel_convolution(x, weight, bias, 2)
    with torch.no_grad():
        with pytest.raises(ValueError, match='for factor 3 a multiple of 9 channels'):
            sub_pixel_convolution(x, weight, bias, 3)
        with pytest.raises(ValueError, match=r'weight has the shape'):
            sub_pixel_convolution(x[:, 1:], weight, bias, 2)
        with pytest.raises(ValueError, match='slope is 0; set a number greater than 0'):
            sub_pixel_convolution(x, weight, bias, 2, 0)
