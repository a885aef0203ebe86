import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import successive_convolutions
from gsm_plugin.ops.dispatch import choose_backend
from gsm_plugin.ops.successive_convolutions import numba_impl
from tests.ops.comparison import TOLERANCES, random_tensors

# images, channels, those between, colours, height, width
SIZES = [(1, 3, 8, 1, 1, 1), (2, 5, 8, 3, 2, 7), (1, 16, 20, 3, 9, 2), (1, 4, 9, 2, 3, 3), (2, 8, 16, 3, 40, 33)]


def tensors(sizes, dtype=torch.float64):
    n, c, m, colours, h, w = sizes
    shapes = (n, c, h, w), (m, c, 3, 3), (m,), (colours, m, 3, 3), (colours,), (n, colours, h, w)
    x, inner, inner_bias, weight, bias, images = random_tensors(*shapes, dtype=dtype)
    return x, inner / (3 * c**0.5), inner_bias, weight / (3 * m**0.5), bias, images


@torch.no_grad()
def test_naive_is_what_pytorch_makes_of_it():
    x, inner, inner_bias, weight, bias, images = tensors(SIZES[1])
    expected = images + F.conv2d(F.conv2d(x, inner, inner_bias, padding=1), weight, bias, padding=1)
    torch.testing.assert_close(successive_convolutions(*tensors(SIZES[1]), 'naive'), expected)


@torch.no_grad()
@pytest.mark.parametrize('sizes', SIZES)
@pytest.mark.parametrize('last', [True, False])
@pytest.mark.parametrize('backend', ['numba', 'torch'])
@pytest.mark.parametrize('pixels', [2048, 70])
def test_matches_naive_also_where_a_band_ends_and_at_the_border(monkeypatch, sizes, last, backend, pixels):
    if backend == 'numba':
        pytest.importorskip('numba')
    monkeypatch.setattr(numba_impl, '_PIXELS', pixels)
    arguments = tensors(sizes, torch.float32)
    expected = successive_convolutions(*(value.double() for value in arguments), 'naive')
    images = arguments[-1].clone()
    x = arguments[0].contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    actual = successive_convolutions(x, *arguments[1:], backend)
    assert actual.dtype == torch.float32
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(actual.double(), expected, atol=absolute * max(1, expected.abs().max()), rtol=relative)
    assert torch.equal(arguments[-1], images)


@torch.no_grad()
@pytest.mark.parametrize('sizes', [(0, 3, 8, 2, 4, 4), (1, 3, 8, 2, 0, 4)])
def test_without_images_or_pixels_there_is_nothing(sizes):
    pytest.importorskip('numba')
    arguments = tensors(sizes, torch.float32)
    assert successive_convolutions(*arguments, 'numba').shape == arguments[-1].shape


@torch.no_grad()
def test_numba_leaves_to_pytorch_what_autocast_rounds_and_what_one_convolution_makes_dearer():
    def chosen(sizes):
        return choose_backend('successive_convolutions', 'auto', 'cpu', torch.float32, tensors(sizes, torch.float32))

    pytest.importorskip('numba')
    assert chosen(SIZES[1]).name == 'numba'
    assert chosen((1, 8, 8, 8, 4, 4)).name == 'torch'
    with torch.autocast('cpu', torch.bfloat16):
        assert chosen(SIZES[1]).name == 'torch'


def test_refuses_gradients_and_shapes():
    arguments = tensors(SIZES[1])
    with pytest.raises(ValueError, match='keeps no gradients'):
        successive_convolutions(*arguments)
    with torch.no_grad():
        with pytest.raises(ValueError, match='inner_weight has the shape'):
            successive_convolutions(arguments[0][:, 1:], *arguments[1:])
        with pytest.raises(ValueError, match='give both four axes'):
            successive_convolutions(arguments[0][0], *arguments[1:])
