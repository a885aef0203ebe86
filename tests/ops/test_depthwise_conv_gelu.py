import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import depthwise_conv_gelu
from gsm_plugin.ops.depthwise_conv_gelu.naive import depthwise_conv_gelu_naive
from gsm_plugin.ops.depthwise_conv_gelu.torch_impl import depthwise_conv_gelu_torch
from tests.ops.comparison import TOLERANCES, assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

ALL = pytest.mark.parametrize('convolve', ['naive', 'torch', 'triton'], indirect=True)


@pytest.fixture
def convolve(request):
    if request.param == 'naive':
        return depthwise_conv_gelu_naive
    return depthwise_conv_gelu_torch if request.param == 'torch' else triton_backend()


def numba_backend():
    pytest.importorskip('numba')
    from gsm_plugin.ops.depthwise_conv_gelu.numba_impl import depthwise_conv_gelu_numba

    return depthwise_conv_gelu_numba


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.depthwise_conv_gelu.triton_impl import depthwise_conv_gelu_triton

    return on_device(depthwise_conv_gelu_triton)


def inputs(*shape, seed=0):
    x, weight, bias = random_tensors(shape, (shape[-1], 3, 3, 3), shape[-1:], seed=seed)
    return x, weight / 3, bias


@ALL
def test_the_middle_tap_alone_scales_every_channel(convolve):
    x, weight, bias = inputs(1, 2, 3, 4, 5)
    weight = F.pad(weight[:, 1:2, 1:2, 1:2], (1,) * 6)
    torch.testing.assert_close(convolve(x, weight, bias), F.gelu(x * weight[:, 1, 1, 1] + bias))


@ALL
@pytest.mark.parametrize('axis', [1, 2, 3])
def test_the_first_tap_of_an_axis_takes_what_comes_before_and_zero_at_the_border(convolve, axis):
    x, weight, bias = inputs(1, 3, 4, 5, 2)
    tap = [slice(None), 1, 1, 1]
    tap[axis] = 0
    only = torch.zeros_like(weight)
    only[tuple(tap)] = 1
    actual = convolve(x, only, 0 * bias)
    assert not actual.select(axis, 0).any()
    torch.testing.assert_close(actual.narrow(axis, 1, x.shape[axis] - 1), F.gelu(x.narrow(axis, 0, x.shape[axis] - 1)))


@ALL
def test_it_is_a_convolution_with_one_group_per_channel(convolve):
    x, weight, bias = inputs(2, 3, 4, 5, 6)
    expected = F.conv3d(x.movedim(-1, 1), weight[:, None], bias, padding=1, groups=6).movedim(1, -1)
    torch.testing.assert_close(convolve(x, weight, bias), F.gelu(expected))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('shape', [(2, 5, 6, 7, 4), (1, 1, 1, 1, 1), (1, 2, 1, 9, 3), (1, 9, 3, 2, 5)])
def test_torch_matches_naive(shape, dtype):
    assert_same_function(depthwise_conv_gelu_torch, depthwise_conv_gelu_naive, inputs(*shape), dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    'shape', [(2, 5, 6, 7, 4), (1, 1, 1, 1, 1), (1, 2, 1, 9, 65), (1, 9, 33, 2, 5), (1, 1, 2, 1000, 3)]
)
def test_numba_matches_naive(shape, dtype):
    assert_same_function(numba_backend(), depthwise_conv_gelu_naive, inputs(*shape), dtype)


def test_numba_takes_inputs_in_another_memory_order():
    def transposed(function):
        return lambda x, weight, bias: function(x.movedim(1, -1), weight.transpose(0, 1), bias[::2])

    tensors = random_tensors((1, 3, 2, 4, 5), (3, 3, 3, 3), (6,))
    assert_same_function(transposed(numba_backend()), transposed(depthwise_conv_gelu_naive), tensors, torch.float32)


def test_numba_gives_nothing_for_a_clip_without_frames():
    x, weight, bias = (value.float().requires_grad_() for value in inputs(1, 0, 4, 5, 6))
    output = numba_backend()(x, weight, bias)
    assert output.shape == x.shape
    output.sum().backward()
    assert not weight.grad.any()


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(1, 5, 6, 7, 4), (2, 2, 1, 9, 65), (1, 1, 1, 1, 1), (1, 9, 9, 2, 63)])
def test_triton_matches_naive(shape, dtype):
    assert_same_function(triton_backend(), depthwise_conv_gelu_naive, inputs(*shape), dtype)


@pytest.mark.parametrize('shape', [(1, 5, 6, 7, 4), (2, 2, 1, 9, 65), (1, 1, 1, 1, 1), (1, 9, 9, 2, 63)])
def test_triton_in_float16_without_gradients_sums_nine_products_at_a_time(shape):
    rounded = [value.half() for value in inputs(*shape)]
    expected = depthwise_conv_gelu_naive(*(value.double() for value in rounded))
    with torch.no_grad():
        actual = triton_backend()(*rounded)
    in_float32 = triton_backend()(*rounded)
    absolute, relative = TOLERANCES[torch.float16]
    torch.testing.assert_close(actual.double(), expected, atol=absolute, rtol=relative)
    if actual.numel() > 1:
        assert not torch.equal(actual, in_float32)
        # the result is rounded as well, so it is not many times further off
        assert (actual - expected).norm() < 4 * (in_float32 - expected).norm()


@pytest.mark.skipif(DEVICE == 'cpu', reason='sizes for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_triton_matches_naive_at_the_size_of_a_training_crop(dtype):
    assert_same_function(triton_backend(), depthwise_conv_gelu_naive, inputs(1, 5, 64, 64, 192), dtype)


def test_triton_takes_inputs_in_another_memory_order():
    def transposed(x, weight, bias):
        return triton_backend()(x.movedim(1, -1), weight.transpose(0, 1), bias[::2])

    def expected(x, weight, bias):
        return depthwise_conv_gelu_naive(x.movedim(1, -1), weight.transpose(0, 1), bias[::2])

    tensors = random_tensors((1, 3, 2, 4, 5), (3, 3, 3, 3), (6,))
    assert_same_function(transposed, expected, tensors, torch.float32)


def test_triton_gives_nothing_for_a_clip_without_frames():
    x, weight, bias = (value.float().requires_grad_() for value in inputs(1, 0, 4, 5, 6))
    output = triton_backend()(x, weight, bias)
    assert output.shape == x.shape
    output.sum().backward()
    assert not weight.grad.any()
    assert not bias.grad.any()


@ALL
def test_weights_are_taken_to_the_type_of_the_input(convolve):
    x, weight, bias = inputs(1, 2, 3, 4, 5)
    actual = convolve(x.bfloat16(), weight.float(), bias.float())
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.double(), depthwise_conv_gelu_naive(x, weight, bias), atol=0.05, rtol=0.05)


@pytest.mark.parametrize('shapes', [((1, 2, 3, 4), (4, 3, 3, 3), (4,)), ((1, 2, 3, 4, 5), (4, 3, 3, 3), (5,))])
def test_shapes_that_do_not_belong_together_are_named(shapes):
    with pytest.raises(ValueError, match=r'x has the shape .*; give \(b, t, h, w, c\), \(c, 3, 3, 3\) and \(c\)'):
        depthwise_conv_gelu(*random_tensors(*shapes))
