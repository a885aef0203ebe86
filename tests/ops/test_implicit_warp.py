import functools

import pytest
import torch

from gsm_plugin.ops import implicit_warp
from gsm_plugin.ops.implicit_warp.naive import implicit_warp_naive
from gsm_plugin.ops.implicit_warp.torch_impl import implicit_warp_torch
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE

ALL = pytest.mark.parametrize('warp', ['naive', 'torch', 'triton'], indirect=True)


@pytest.fixture
def warp(request):
    if request.param == 'naive':
        return implicit_warp_naive
    return implicit_warp_torch if request.param == 'torch' else triton_backend


def triton_backend(*arguments):
    pytest.importorskip('triton')
    from gsm_plugin.ops.implicit_warp.triton_impl import implicit_warp_triton

    *tensors, num_heads = arguments
    return implicit_warp_triton(*(x.to(DEVICE) for x in tensors), num_heads).cpu()


def inputs(n=2, h=5, w=7, c=8, seed=0):
    query, key, value, flow, key_position, value_position = random_tensors(
        *[(n, h, w, c)] * 3, (n, 2, h, w), (4, c), (4, c), seed=seed
    )
    return query, key, value, 3 * flow, key_position, value_position


@ALL
def test_equal_keys_average_the_cell(warp):
    query, key, value, _, _, _ = inputs()
    flow, still = torch.zeros(2, 2, 5, 7, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    actual = warp(query, torch.zeros_like(key), value, flow, still, still, 2)
    cell = value[:, 2:4, 3:5].mean((1, 2))
    torch.testing.assert_close(actual[:, 2, 3], cell)
    torch.testing.assert_close(actual[:, 4, 6], value[:, 4, 6])


@ALL
def test_a_strong_key_position_picks_its_pixel_of_the_cell(warp):
    query, key, value, _, _, _ = inputs()
    flow = torch.zeros(2, 2, 5, 7, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 2, -1
    position, still = torch.zeros(4, 8, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    position[1] = 1e3  # the pixel at (row 0, column 1) of the cell
    actual = warp(torch.ones_like(query), 0 * key, value, flow, position, still, 2)
    torch.testing.assert_close(actual[:, 3, 1], value[:, 2, 4])


@ALL
def test_places_outside_the_image_are_clamped_to_its_border(warp):
    query, key, value, _, _, _ = inputs()
    flow, still = torch.full((2, 2, 5, 7), -100.3, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    actual = warp(query, key, value, flow, still, still, 4)
    torch.testing.assert_close(actual, value[:, :1, :1].expand_as(value))


@ALL
def test_places_far_outside_are_clamped_too(warp):
    query, key, value, flow, _, _ = inputs()
    still = torch.zeros(4, 8, dtype=torch.float64)
    actual = warp(query, key, value, torch.full_like(flow, 1e9), still, still, 2)
    torch.testing.assert_close(actual, value[:, -1:, -1:].expand_as(value))


@ALL
def test_a_single_head_attends_with_all_channels(warp):
    query, key, value, _, _, _ = inputs(1, 2, 2, 4)
    flow, still = torch.zeros(1, 2, 2, 2, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    weights = (key.view(4, 4) @ query[0, 0, 0] / 2).softmax(0)
    actual = warp(query, key, value, flow, still, still, 1)
    torch.testing.assert_close(actual[0, 0, 0], weights @ value.view(4, 4))


def assert_matches_naive(function, shape, num_heads, dtype, change=lambda *tensors: tensors):
    query, key, value, flow, *positions = inputs(*shape)
    # places must fall into the same cells in float32
    flow = flow.float().double()

    def of(warp):
        def warped(*leaves):
            q, k, v, kp, vp = change(*leaves)
            return warp(q, k, v, flow, kp, vp, num_heads)

        return warped

    tensors = [query, key, value, *positions]
    assert_same_function(of(function), of(implicit_warp_naive), tensors, dtype)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
@pytest.mark.parametrize('shape', [(1, 1, 1, 4), (2, 5, 7, 8), (1, 9, 4, 12), (3, 1, 6, 8)])
@pytest.mark.parametrize('num_heads', [1, 4])
def test_torch_matches_naive(shape, num_heads, dtype):
    assert_matches_naive(implicit_warp_torch, shape, num_heads, dtype)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(1, 1, 1, 4), (2, 5, 7, 8), (1, 9, 4, 12), (3, 1, 6, 8), (1, 25, 40, 4)])
@pytest.mark.parametrize('num_heads', [1, 4])
def test_numba_matches_naive(shape, num_heads, dtype):
    assert_matches_naive(functools.partial(implicit_warp, backend='numba'), shape, num_heads, dtype)


def test_numba_takes_keys_and_values_that_are_parts_of_wider_rows_and_gives_the_same_without_gradients():
    query, key, value, flow, *positions = (x.float() for x in inputs(2, 33, 40, 8))
    key, value = torch.cat((key, value), -1).chunk(2, -1)
    expected = implicit_warp_naive(query, key, value, flow, *positions, 2)
    with torch.no_grad():
        actual = implicit_warp(query, key, value, flow, *positions, 2, backend='numba')
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=2e-5)
    query.requires_grad_()
    assert torch.equal(implicit_warp(query, key, value, flow, *positions, 2, backend='numba'), actual)


@pytest.mark.parametrize(
    'shape, num_heads', [((1, 1, 1, 4), 1), ((2, 3, 5, 18), 3), ((1, 1, 65, 4), 4), ((1, 2, 3, 40), 2)]
)
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_matches_naive(shape, num_heads, dtype, deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    assert_matches_naive(triton_backend, shape, num_heads, dtype)


@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_takes_keys_and_values_that_are_parts_of_wider_rows(deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)

    def change(query, key, value, *positions):
        key, value = torch.cat((key, value), -1).chunk(2, -1)
        return query.transpose(1, 2).contiguous().transpose(1, 2), key, value, *positions

    assert_matches_naive(triton_backend, (2, 3, 2, 4), 2, torch.float32, change)


def test_triton_gives_nothing_for_images_without_pixels():
    tensors = [x.float().requires_grad_() for x in inputs(1, 0, 5, 8)]
    output = triton_backend(*tensors, 2)
    assert output.shape == (1, 0, 5, 8)
    output.sum().backward()
    assert not tensors[4].grad.any()


@pytest.mark.skipif(DEVICE == 'cpu', reason='sizes for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('deterministic', [False, True])
def test_triton_matches_naive_at_the_size_of_a_window(dtype, deterministic, monkeypatch):
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: deterministic)
    assert_matches_naive(triton_backend, (5, 90, 161, 192), 8, dtype)


def test_wrong_shapes_are_named():
    query, key, value, flow, *positions = inputs()
    with pytest.raises(ValueError, match=r'give three \(n, h, w, c\) and \(n, 2, h, w\)'):
        implicit_warp(query, key, value, flow[:, :1], *positions, 2)
    with pytest.raises(ValueError, match='8 channels in 3 heads need a multiple'):
        implicit_warp(query, key, value, flow, *positions, 3)


@torch.no_grad()
@pytest.mark.usefixtures('triton_anywhere')
@pytest.mark.parametrize('backend', ['naive', 'torch', 'triton'])
def test_half_precision_flow_is_added_to_precise_coordinates(backend):
    query, key, value, _, *positions = (x.to(DEVICE) for x in inputs(1, 1, 300, 4))
    flow = torch.full((1, 2, 1, 300), 0.25, device=DEVICE)
    expected = implicit_warp(query, key, value, flow, *positions, 2, backend)
    actual = implicit_warp(query, key, value, flow.bfloat16(), *positions, 2, backend)
    torch.testing.assert_close(actual, expected)
