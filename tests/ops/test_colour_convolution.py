import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import colour_convolution
from gsm_plugin.ops.colour_convolution.naive import colour_convolution_naive
from gsm_plugin.ops.colour_convolution.torch_impl import colour_convolution_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE, on_device

SIZES = pytest.mark.parametrize(
    'sizes', [(1, 16, 3, 1, 1), (2, 5, 3, 7, 33), (1, 64, 3, 5, 40), (2, 128, 7, 20, 3), (1, 3, 1, 15, 29)]
)


def inputs(n, c, m, h, w):
    x, x_bias, weight, bias, images = random_tensors((n, c, h, w), (c,), (m, c, 3, 3), (m,), (n, m, h, w))
    return x, x_bias, weight / c**0.5 / 3, bias, images


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.colour_convolution.triton_impl import colour_convolution_triton

    return on_device(colour_convolution_triton)


def assert_matches_naive(function, sizes, dtype, images_dtype):
    x, *parameters, images = inputs(*sizes)
    x, images = x.to(dtype).contiguous(memory_format=torch.channels_last), images.to(images_dtype)
    parameters = [parameter.to(dtype) for parameter in parameters]
    expected = colour_convolution_naive(*(value.double() for value in (x, *parameters, images)))
    with torch.no_grad():
        actual = function(x, *parameters, images)
    assert actual.dtype == torch.promote_types(dtype, images_dtype)
    absolute, relative = TOLERANCES[dtype]
    torch.testing.assert_close(actual.double(), expected, atol=absolute, rtol=relative)


def test_naive_is_a_convolution_of_what_has_its_bias():
    x, x_bias, weight, bias, images = inputs(2, 5, 3, 6, 7)
    with torch.no_grad():
        actual = colour_convolution(x, x_bias, weight, bias, images, 'naive')
    torch.testing.assert_close(actual, images + F.conv2d(x + x_bias[:, None, None], weight, bias, padding=1))


@SIZES
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16])
def test_torch_matches_naive(sizes, dtype):
    assert_matches_naive(colour_convolution_torch, sizes, dtype, torch.promote_types(dtype, torch.float32))


@SIZES
@pytest.mark.parametrize(('dtype', 'images_dtype'), [(torch.float16, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_triton_matches_naive(sizes, dtype, images_dtype):
    assert_matches_naive(triton_backend(), sizes, dtype, images_dtype)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
def test_triton_matches_naive_at_the_size_of_a_frame():
    assert_matches_naive(triton_backend(), (1, 64, 3, 720, 1280), torch.float16, torch.float32)


def test_auto_takes_torch_for_what_the_kernel_does_not_cover(triton_anywhere):
    for x, sizes in ((torch.channels_last, (1, 130, 3)), (torch.contiguous_format, (1, 8, 3))):
        n, c, m = sizes
        values = [value.half().to(DEVICE) for value in inputs(n, c, m, 4, 5)]
        values[0] = values[0].contiguous(memory_format=x)
        with torch.no_grad():
            expected = colour_convolution(*values, 'torch')
            assert torch.equal(colour_convolution(*values), expected)
            with pytest.raises(RuntimeError, match=r"The backend 'triton' of colour_convolution cannot run here"):
                colour_convolution(*values, 'triton')


def test_gradients_are_refused():
    with pytest.raises(ValueError, match=r'colour_convolution keeps no gradients; call it within torch.no_grad\(\)'):
        colour_convolution(*inputs(1, 4, 3, 5, 6))


@pytest.mark.parametrize(
    ('changed', 'shape', 'message'),
    [
        (1, (5,), r'x_bias has the shape \(5,\); 4 channels, 3 colours need \(4,\)'),
        (2, (3, 4, 1, 1), r'weight has the shape .* need \(3, 4, 3, 3\)'),
        (3, (4,), r'bias has the shape .* need \(3,\)'),
        (4, (1, 3, 5, 7), r'x has the shape \(1, 4, 5, 6\) and images \(1, 3, 5, 7\); give'),
    ],
)
def test_shapes_that_do_not_belong_together_are_named(changed, shape, message):
    values = list(inputs(1, 4, 3, 5, 6))
    values[changed] = torch.zeros(shape)
    with torch.no_grad(), pytest.raises(ValueError, match=message):
        colour_convolution(*values)
