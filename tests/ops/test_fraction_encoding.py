import math

import pytest
import torch

from gsm_plugin.ops import fraction_encoding
from gsm_plugin.ops.fraction_encoding.naive import fraction_encoding_naive
from gsm_plugin.ops.fraction_encoding.torch_impl import fraction_encoding_torch
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

ALL = pytest.mark.parametrize('encode', ['naive', 'torch', 'triton'], indirect=True)
SHAPES = pytest.mark.parametrize('shape', [(1, 1, 1, 4), (2, 5, 7, 12), (1, 1, 65, 8), (1, 63, 1, 4)])


@pytest.fixture
def encode(request):
    if request.param == 'naive':
        return fraction_encoding_naive
    return fraction_encoding_torch if request.param == 'torch' else triton_backend


def triton_backend(target, flow, dtype):
    pytest.importorskip('triton')
    from gsm_plugin.ops.fraction_encoding.triton_impl import fraction_encoding_triton

    return on_device(lambda *tensors: fraction_encoding_triton(*tensors, dtype))(target, flow)


def reference(target, flow, dtype):
    """The naive backend on the device of the others, for powers of float32, the wavelengths, differ between devices."""
    return on_device(lambda *tensors: fraction_encoding_naive(*tensors, dtype))(target, flow)


def inputs(m, h, w, c, flows=2):
    """Targets, and flows with fractions that are the same in float32."""
    target, flow = random_tensors((m, h, w, c), (m * flows, 2, h, w))
    return [target, 3 * flow.mul(64).round().div(64)]


def assert_matches_naive(function, tensors, dtype):
    """Compares with targets and results in a precision; half precision has its flow in float32."""

    def of(encode, precision):
        def encoded(target, flow):
            return encode(target, flow.float() if target.dtype.itemsize == 2 else flow, precision)

        return encoded

    assert_same_function(of(function, dtype), of(reference, torch.float64), tensors, dtype)


@ALL
def test_whole_pixels_add_one_to_every_cosine(encode):
    target, _ = inputs(1, 3, 4, 8)
    flow = torch.ones(2, 2, 3, 4, dtype=torch.float64)
    expected = (target + torch.tensor([0.0, 1.0]).repeat(4)).expand(2, 3, 4, 8)
    torch.testing.assert_close(encode(target, flow, torch.float64), expected)


@ALL
def test_the_first_half_of_the_channels_encodes_y_and_the_second_x(encode):
    target, flow = torch.zeros(1, 1, 1, 4, dtype=torch.float64), torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 0.25, -1.5
    x, y = (fraction / (2 + 1e-6) * 2 * math.pi for fraction in (0.25, 0.5))
    expected = torch.tensor([math.sin(y), math.cos(y), math.sin(x), math.cos(x)], dtype=torch.float64)
    torch.testing.assert_close(encode(target, flow, torch.float64).flatten(), expected)


@SHAPES
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
def test_torch_matches_naive(shape, dtype):
    assert_matches_naive(fraction_encoding_torch, inputs(*shape), dtype)


@SHAPES
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_triton_matches_naive(shape, dtype):
    assert_matches_naive(triton_backend, inputs(*shape), dtype)


def test_triton_takes_targets_in_another_memory_order():
    def of(encode):
        return lambda target, flow: encode(target.permute(3, 0, 2, 1), flow.transpose(2, 3), target.dtype)

    tensors = random_tensors((4, 8, 3, 2), (2, 2, 3, 4))
    assert_same_function(of(triton_backend), of(fraction_encoding_naive), tensors, torch.float32)


def test_triton_gives_nothing_for_images_without_pixels():
    target, flow = (value.float().requires_grad_() for value in inputs(1, 0, 5, 8))
    output = triton_backend(target, flow, torch.float32)
    assert output.shape == (2, 0, 5, 8)
    output.sum().backward()
    assert target.grad.shape == target.shape


@pytest.mark.skipif(DEVICE == 'cpu', reason='sizes for a GPU')
def test_triton_matches_naive_at_the_size_of_a_window():
    assert_matches_naive(triton_backend, inputs(1, 90, 161, 192, flows=5), torch.float32)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'flow \(1, 2, 3, 5\); give \(m, h, w, c\) with c a multiple of 4'):
        fraction_encoding(torch.zeros(1, 3, 4, 8), torch.zeros(1, 2, 3, 5), torch.float32)
    with pytest.raises(ValueError, match='got 3 flows for 2 targets; give a multiple'):
        fraction_encoding(torch.zeros(2, 3, 4, 8), torch.zeros(3, 2, 3, 4), torch.float32)
