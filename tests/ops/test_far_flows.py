"""Flows that lead far outside the image or are not finite: all backends do what naive does, and stay finite."""

from functools import partial

import pytest
import torch

from gsm_plugin.ops import (
    Cells,
    SumAndNorm,
    encoded_query,
    flow_warp,
    fraction_encoding,
    gather_norm,
    implicit_warp,
    scatter_norm,
    surrounding_pixels,
)
from gsm_plugin.ops._common.grid import pixel_grid
from tests.ops.comparison import random_tensors
from tests.ops.far_flows import H, N, W, assert_close, bad_flow, beyond, results
from tests.ops.triton_device import DEVICE

C, HEADS, EPS = 8, 2, 1e-5
ROWS = N, H, W, C
TYPES = pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
FAST = pytest.mark.parametrize('backend', ['torch', 'triton'])
ALL = pytest.mark.parametrize('backend', ['naive', 'torch', 'triton'])

pytestmark = pytest.mark.usefixtures('triton_anywhere')


def away(flow):
    """Pixels whose flow leads out of the image, (n, h, w)."""
    return ~(flow.abs() < 10).all(1)


def inputs(*shapes):
    return [tensor.to(DEVICE) for tensor in random_tensors(*shapes)]


def encode(flow, target, *, backend):
    return fraction_encoding(target, flow, target.dtype, backend)


def attend(flow, *cells, backend):
    query, key, value, *positions = cells
    return implicit_warp(query, key, value, flow, *positions, HEADS, backend)


def warp(flow, x, *, backend):
    return flow_warp(x, flow, backend)


WITH_GRADIENTS = {
    'flow_warp': (warp, [ROWS]),
    'fraction_encoding': (encode, [(1, H, W, C)]),
    'implicit_warp': (attend, [ROWS, ROWS, ROWS, (4, C), (4, C)]),
}


def query(flow, target, weight, bias, *, backend):
    return encoded_query(target, flow, weight, bias, target.dtype, backend)


def gather(flow, query, key, value, key_position, value_position, weight, bias, *, backend):
    cells = Cells(query, key, value, flow, key_position, value_position)
    return gather_norm(cells, HEADS, N, weight, bias, EPS, query.dtype, backend)


def scatter(flow, frames, aligned, *parameters, backend):
    frames = frames[None].clone()
    normed = scatter_norm(frames, aligned[None], flow[None], SumAndNorm(*parameters), EPS, frames.dtype, backend)
    return torch.cat((normed, frames))


IN_INFERENCE = {
    'encoded_query': (query, [(1, H, W, C), (C, C), (C,)]),
    'gather_norm': (gather, [ROWS, ROWS, ROWS, (4, C), (4, C), (C,), (C,)]),
    'scatter_norm': (scatter, [ROWS, ROWS, *[(C,)] * 5]),
}


def assert_outputs_and_gradients_are_those_of_naive(op, dtype, backend):
    function, shapes = WITH_GRADIENTS[op]
    tensors = [tensor.to(dtype) for tensor in inputs(*shapes)]
    actual = results(partial(function, backend=backend), bad_flow(), tensors, dtype)
    expected = results(partial(function, backend='naive'), bad_flow(), tensors, torch.float64)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, dtype)


@FAST
@TYPES
@pytest.mark.parametrize('op', WITH_GRADIENTS)
def test_outputs_and_gradients_are_those_of_naive(op, dtype, backend):
    assert_outputs_and_gradients_are_those_of_naive(op, dtype, backend)


@pytest.mark.parametrize('op', ['flow_warp', 'implicit_warp'])
def test_sums_in_a_fixed_order_are_those_of_naive(op, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert_outputs_and_gradients_are_those_of_naive(op, torch.float32, 'triton')


@FAST
@TYPES
@pytest.mark.parametrize('op', IN_INFERENCE)
@torch.no_grad()
def test_results_of_inference_are_those_of_naive(op, dtype, backend):
    function, shapes = IN_INFERENCE[op]
    flow, tensors = bad_flow().to(DEVICE), [tensor.to(dtype) for tensor in inputs(*shapes)]
    actual = function(flow.to(torch.promote_types(dtype, torch.float32)), *tensors, backend=backend)
    expected = function(flow, *(tensor.double() for tensor in tensors), backend='naive')
    assert_close(actual, expected, dtype)


def whole_instead(flow):
    """The flow with places beyond the bound at many, but whole, pixels."""
    place = pixel_grid(flow) + flow
    return torch.where(beyond(place), torch.where(place > 0, 4096.0, -4096.0), flow)


@ALL
@pytest.mark.parametrize('op', IN_INFERENCE)
@torch.no_grad()
def test_places_beyond_the_bound_are_as_others_far_outside_in_inference(op, backend):
    function, shapes = IN_INFERENCE[op]
    flow, tensors = bad_flow(), inputs(*shapes)
    actual, expected = (function(x.to(DEVICE), *tensors, backend=backend) for x in (flow, whole_instead(flow)))
    torch.testing.assert_close(actual, expected)


@ALL
@pytest.mark.parametrize('op', WITH_GRADIENTS)
def test_places_beyond_the_bound_are_as_others_far_outside_but_give_the_flow_no_gradient(op, backend):
    function, shapes = WITH_GRADIENTS[op]
    flow, tensors, function = bad_flow(), inputs(*shapes), partial(function, backend=backend)
    actual, expected = (results(function, x, tensors, torch.float64) for x in (flow, whole_instead(flow)))
    if op != 'implicit_warp':
        expected[1] = torch.where(beyond(pixel_grid(flow) + flow).to(DEVICE), 0, expected[1])
        assert expected[1].any()
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)


@ALL
def test_flow_warp_is_zero_outside_and_gives_the_flow_no_gradient(backend):
    flow, (x,) = bad_flow(), inputs(ROWS)
    output, gradient, _ = results(partial(warp, backend=backend), flow, [x.abs() + 1], torch.float64)
    assert torch.equal(output.cpu().eq(0).all(-1), away(flow))
    assert torch.equal(gradient.cpu().eq(0).all(1), away(flow))


@ALL
def test_the_encoding_beyond_the_bound_is_that_of_no_fraction(backend):
    flow, target = bad_flow(), torch.zeros(1, H, W, C, dtype=torch.float64)
    encoding = fraction_encoding(target.to(DEVICE), flow.to(DEVICE), torch.float64, backend).cpu()
    of_y, of_x = encoding.unflatten(-1, (2, -1)).unbind(-2)
    none = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(C // 4)
    for encoded, place in ((of_x, (pixel_grid(flow) + flow)[:, 0]), (of_y, (pixel_grid(flow) + flow)[:, 1])):
        torch.testing.assert_close(encoded[beyond(place)], none.expand(int(beyond(place).sum()), -1))


def test_surrounding_pixels_are_zeros_outside():
    flow, x = bad_flow(), (random_tensors((N, C, H, W))[0].abs() + 1).requires_grad_()
    taken = surrounding_pixels(x, flow)
    (gradient,) = torch.autograd.grad(taken.sum(), x)
    assert not taken.movedim(1, -1)[away(flow)].any()
    assert gradient.isfinite().all()
    assert gradient.any()
    assert torch.equal(surrounding_pixels(x.half(), flow.half()), taken.half())
