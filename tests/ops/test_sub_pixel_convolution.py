import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import sub_pixel_convolution
from gsm_plugin.ops.dispatch import choose_backend
from gsm_plugin.switches import split_products
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

# images, channels, those of a pixel of the result, height, width, factor
SIZES = [
    (1, 3, 2, 1, 1, 1),
    (2, 5, 3, 7, 9, 2),
    (1, 32, 16, 8, 10, 2),
    (1, 16, 20, 6, 5, 3),
    (1, 16, 3, 33, 34, 1),
    (3, 16, 4, 12, 3, 1),
]


def tensors(sizes, dtype=torch.float64, side=3):
    n, c, m, h, w, factor = sizes
    shapes = (n, c, h, w), (m * factor**2, c, side, side), (m * factor**2,)
    x, weight, bias = random_tensors(*shapes)
    return x.to(dtype), (weight / (side * c**0.5)).to(dtype), bias.to(dtype)


def by_triton(x, weight, bias, factor=1, slope=1.0):
    pytest.importorskip('triton')
    from gsm_plugin.ops.sub_pixel_convolution.triton_impl import sub_pixel_convolution_triton

    return sub_pixel_convolution_triton(*(value.to(DEVICE) for value in (x, weight, bias)), factor, slope).cpu()


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
@pytest.mark.parametrize('side', [1, 3, 5, 7])
@pytest.mark.parametrize('slope', [0, 0.1])
def test_torch_and_naive_are_the_same_with_other_taps_and_a_relu(side, slope):
    x, weight, bias = tensors((2, 3, 2, 5, 6, 2), side=side)
    for factor in (1, 2):
        actual = sub_pixel_convolution(x, weight, bias, factor, slope, 'torch')
        torch.testing.assert_close(actual, sub_pixel_convolution(x, weight, bias, factor, slope, 'naive'))


@torch.no_grad()
# those of a network for channels beyond a step, for columns beyond a block, and for pixels beyond one
@pytest.mark.parametrize(
    'sizes', [*SIZES[:3], (1, 70, 5, 3, 4, 1), (1, 2, 130, 2, 3, 1), (2, 4, 32, 9, 8, 2), (0, 3, 2, 4, 4, 1)]
)
@pytest.mark.parametrize('side, slope', [(1, 1.0), (3, 0.1), (7, 0)])
def test_triton_matches_naive(sizes, side, slope):
    x, weight, bias = tensors(sizes, torch.float32, side)
    expected = sub_pixel_convolution(x.double(), weight.double(), bias.double(), sizes[-1], slope, 'naive')
    for images in (x, x.contiguous(memory_format=torch.channels_last)):
        actual = by_triton(images, weight, bias, sizes[-1], slope)
        assert actual.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(actual.double(), expected, atol=4e-6, rtol=1e-6)


def far_from(actual, x, weight):
    """The greatest difference from the convolution of float64, over the norms of what a pixel sees and of its taps."""
    x, weight = x.double(), weight.double()
    norms = (
        F.conv2d(x.square(), torch.ones_like(weight[:1]), padding=1).sqrt()
        * weight.square().sum((1, 2, 3)).sqrt()[:, None, None]
    )
    return ((actual.double() - F.conv2d(x, weight, padding=1)).abs() / norms).max().item()


@torch.no_grad()
def test_split_products_are_as_exact_as_float32_whatever_the_size_of_pixels_and_channels():
    x, weight, bias = tensors((1, 20, 12, 16, 16, 1), torch.float32)
    # a network's are far nearer to each other
    x *= 10 ** torch.linspace(-20, 10, 16)[:, None] * 10 ** torch.linspace(-1, 1, 16)
    weight *= 10 ** torch.linspace(-6, 6, 12)[:, None, None, None]
    zeros = torch.zeros_like(bias)
    assert far_from(by_triton(x, weight, zeros), x, weight) < 2e-7
    assert far_from(F.conv2d(x, weight, padding=1), x, weight) < 4e-7
    # and one that rounds its factors is told from it
    assert far_from(F.conv2d(x.bfloat16().float(), weight, padding=1), x, weight) > 1e-5


@torch.no_grad()
@pytest.mark.parametrize('value', [float('inf'), float('nan'), 3e38])
def test_what_does_not_see_a_pixel_that_is_not_finite_is_as_it_was(value):
    x, weight, bias = tensors((1, 3, 4, 9, 8, 1), torch.float32)
    expected = sub_pixel_convolution(x, weight, bias, 1, 1.0, 'naive')
    x[0, 1, 4, 3] = value
    actual = by_triton(x, weight, bias)
    sees = torch.zeros(9, 8, dtype=torch.bool)
    sees[3:6, 2:5] = True
    torch.testing.assert_close(actual[..., ~sees], expected[..., ~sees], atol=1e-5, rtol=1e-5)
    assert actual[..., sees].isfinite().any() == (value == 3e38)


@torch.no_grad()
def test_products_are_split_in_float32_where_the_switch_is_on_and_nowhere_else(triton_anywhere):
    pytest.importorskip('triton')
    arguments = [value.to(DEVICE) for value in tensors((1, 3, 2, 4, 4, 1), torch.float32)]
    with split_products.products.turned(True):
        actual = sub_pixel_convolution(*arguments)
        assert torch.equal(actual, sub_pixel_convolution(*arguments, backend='triton'))
        with torch.autocast(DEVICE, torch.bfloat16):
            assert sub_pixel_convolution(*arguments).dtype == torch.bfloat16
            with pytest.raises(RuntimeError, match='autocast is on, which rounds what is multiplied'):
                sub_pixel_convolution(*arguments, backend='triton')
    with pytest.raises(RuntimeError, match='products are not to be split'):
        sub_pixel_convolution(*arguments, backend='triton')


@torch.no_grad()
def test_numba_gives_a_negative_number_the_slope_that_a_factor_above_one_is_as_well():
    pytest.importorskip('numba')
    x, weight, bias = tensors((1, 4, 16, 4, 4, 1), torch.float32)
    actual = sub_pixel_convolution(x, weight, bias, 1, 1.5, 'numba')
    expected = sub_pixel_convolution(x, weight, bias, 1, 1.5, 'naive')
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_numba_is_off_by_no_more_than_minimal_filtering_of_tiles_of_4x4_has_to_be():
    pytest.importorskip('numba')
    x, weight, bias = tensors((1, 64, 16, 32, 32, 1), torch.float32)
    assert far_from(sub_pixel_convolution(x, weight, torch.zeros_like(bias), backend='numba'), x, weight) < 1e-6


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
        with pytest.raises(ValueError, match=r'weight has the shape .* give it an odd number of taps, such as 3 x 3'):
            sub_pixel_convolution(x, weight[..., :2], bias, 2)
        with pytest.raises(ValueError, match='slope is -1; set 0 or a number greater than 0'):
            sub_pixel_convolution(x, weight, bias, 2, -1)
        with pytest.raises(RuntimeError, match='its kernels are for 3x3 taps'):
            sub_pixel_convolution(x.float(), weight[..., :1, :1].float(), bias.float(), 2, backend='numba')
