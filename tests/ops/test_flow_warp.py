import pytest
import torch

from gsm_plugin.ops import flow_warp
from gsm_plugin.ops.flow_warp.naive import flow_warp_naive
from gsm_plugin.ops.flow_warp.torch_impl import flow_warp_torch
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

ALL = pytest.mark.parametrize('warp', ['naive', 'torch', 'triton'], indirect=True)
SHAPES = pytest.mark.parametrize('shape', [(1, 1, 1, 1), (2, 5, 7, 3), (1, 1, 65, 2), (1, 63, 1, 66)])


@pytest.fixture
def warp(request):
    if request.param == 'naive':
        return flow_warp_naive
    return flow_warp_torch if request.param == 'torch' else triton_backend()


def triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.flow_warp.triton_impl import flow_warp_triton

    return on_device(flow_warp_triton)


def constant(dx, dy, n=1, h=6, w=8):
    return torch.tensor([dx, dy], dtype=torch.float64).view(1, 2, 1, 1).expand(n, 2, h, w)


def inputs(n, h, w, c):
    """Images and a flow that leads beyond their borders, with fractions that are the same in float32."""
    x, flow = random_tensors((n, h, w, c), (n, 2, h, w))
    return [x, 3 * flow.mul(64).round().div(64) + 1 / 128]


@ALL
def test_no_flow_changes_nothing(warp):
    (x,) = random_tensors((2, 6, 8, 3))
    torch.testing.assert_close(warp(x, constant(0, 0, 2)), x)


@ALL
def test_whole_pixels_shift_the_image_and_bring_zeros_in(warp):
    (x,) = random_tensors((1, 6, 8, 3))
    actual = warp(x, constant(2, -1))
    torch.testing.assert_close(actual[:, 1:, :6], x[:, :5, 2:])
    assert (actual[:, 0].abs() < 1e-12).all()
    assert (actual[:, :, 6:].abs() < 1e-12).all()


@ALL
def test_half_pixels_average_neighbours(warp):
    (x,) = random_tensors((1, 6, 8, 3))
    torch.testing.assert_close(warp(x, constant(0.5, 0))[:, :, :7], (x[:, :, :7] + x[:, :, 1:]) / 2)


@ALL
@pytest.mark.parametrize('h, w', [(1, 1), (1, 5), (5, 1)])
def test_sides_of_one_pixel(warp, h, w):
    (x,) = random_tensors((1, h, w, 2))
    torch.testing.assert_close(warp(x, constant(0, 0, 1, h, w)), x)
    assert (warp(x, constant(100, 100, 1, h, w)) == 0).all()
    half = warp(x, constant(0, 0.5, 1, h, w))
    torch.testing.assert_close(half[:, -1], x[:, -1] / 2)


@ALL
def test_places_far_outside_are_zero_and_have_no_gradient(warp):
    (x,) = random_tensors((1, 3, 4, 2))
    flow = constant(1e30, -1e30, 1, 3, 4).clone().requires_grad_()
    actual = warp(x, flow)
    assert not actual.any()
    (gradient,) = torch.autograd.grad(actual.sum(), flow)
    assert not gradient.any()


@ALL
def test_half_precision_features_move_by_precise_flow(warp):
    (x,) = random_tensors((1, 2, 300, 2))
    flow = constant(0.25, 0, 1, 2, 300)
    actual = warp(x.bfloat16(), flow.float())
    assert actual.dtype == torch.bfloat16
    expected = flow_warp_naive(x.bfloat16().double(), flow)
    torch.testing.assert_close(actual.double(), expected, atol=2e-2, rtol=1e-2)


def test_half_precision_flow_is_added_to_precise_coordinates():
    (x,) = random_tensors((1, 1, 600, 2))
    flow = constant(0.25, 0, 1, 1, 600)
    torch.testing.assert_close(flow_warp(x, flow.bfloat16()), flow_warp(x, flow), atol=1e-4, rtol=0)


@SHAPES
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_torch_matches_naive(shape, dtype):
    assert_same_function(flow_warp_torch, flow_warp_naive, inputs(*shape), dtype)


@SHAPES
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_matches_naive(shape, dtype, deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    assert_same_function(triton_backend(), flow_warp_naive, inputs(*shape), dtype)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_matches_naive_in_half_precision(dtype, deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    x, flow = inputs(2, 5, 7, 3)
    triton, precise = triton_backend(), flow.float()
    assert_same_function(lambda x: triton(x, precise), lambda x: flow_warp_naive(x, flow), [x], dtype)


def test_triton_takes_inputs_in_another_memory_order():
    triton = triton_backend()

    def warp_of(function):
        return lambda x, flow: function(x.permute(3, 0, 2, 1), flow.transpose(2, 3))

    tensors = random_tensors((4, 5, 3, 2), (2, 2, 3, 4))
    assert_same_function(warp_of(triton), warp_of(flow_warp_naive), tensors, torch.float32)


@pytest.mark.skipif(DEVICE != 'cpu', reason='the interpreter warns of zero times infinity')
@pytest.mark.filterwarnings('error')
def test_triton_reads_nothing_behind_the_last_image():
    memory = torch.full((4, 3, 5, 2), torch.inf)
    x = memory[:1].fill_(1).requires_grad_()
    flow = torch.full((1, 2, 3, 5), 0.25, requires_grad=True)
    triton_backend()(x, flow).sum().backward()
    assert flow.grad.isfinite().all()


def test_triton_leaves_out_the_gradient_to_images_that_need_none():
    x, flow = (value.float() for value in inputs(1, 4, 5, 3))
    (actual,) = torch.autograd.grad(triton_backend()(x, flow.requires_grad_()).sum(), flow)
    (expected,) = torch.autograd.grad(flow_warp_naive(x, flow).sum(), flow)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_triton_gives_nothing_for_no_images():
    x, flow = (value.float().requires_grad_() for value in inputs(0, 4, 5, 3))
    output = triton_backend()(x, flow)
    assert output.shape == x.shape
    output.sum().backward()
    assert x.grad.shape == x.shape
    assert flow.grad.shape == flow.shape


@pytest.mark.skipif(DEVICE == 'cpu', reason='sizes for a GPU')
@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_matches_naive_at_the_size_of_a_window(deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    assert_same_function(triton_backend(), flow_warp_naive, inputs(5, 90, 161, 192), torch.float32)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'flow \(1, 6, 8, 2\); give \(n, h, w, c\) and \(n, 2, h, w\)'):
        flow_warp(torch.zeros(1, 6, 8, 3), torch.zeros(1, 6, 8, 2))
