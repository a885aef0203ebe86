import pytest
import torch

from gsm_plugin.ops import implicit_warp
from gsm_plugin.ops.implicit_warp.naive import implicit_warp_naive
from gsm_plugin.ops.implicit_warp.torch_impl import implicit_warp_torch
from tests.ops.comparison import assert_same_function, random_tensors

BOTH = pytest.mark.parametrize('warp', [implicit_warp_naive, implicit_warp_torch])


def inputs(n=2, h=5, w=7, c=8, seed=0):
    query, key, value, flow, key_position, value_position = random_tensors(
        *[(n, h, w, c)] * 3, (n, 2, h, w), (4, c), (4, c), seed=seed
    )
    return query, key, value, 3 * flow, key_position, value_position


@BOTH
def test_equal_keys_average_the_cell(warp):
    query, key, value, _, _, _ = inputs()
    flow, still = torch.zeros(2, 2, 5, 7, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    actual = warp(query, torch.zeros_like(key), value, flow, still, still, 2)
    cell = value[:, 2:4, 3:5].mean((1, 2))
    torch.testing.assert_close(actual[:, 2, 3], cell)
    torch.testing.assert_close(actual[:, 4, 6], value[:, 4, 6])


@BOTH
def test_a_strong_key_position_picks_its_pixel_of_the_cell(warp):
    query, key, value, _, _, _ = inputs()
    flow = torch.zeros(2, 2, 5, 7, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 2, -1
    position, still = torch.zeros(4, 8, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    position[1] = 1e3  # the pixel at (row 0, column 1) of the cell
    actual = warp(torch.ones_like(query), 0 * key, value, flow, position, still, 2)
    torch.testing.assert_close(actual[:, 3, 1], value[:, 2, 4])


@BOTH
def test_places_outside_the_image_are_clamped_to_its_border(warp):
    query, key, value, _, _, _ = inputs()
    flow, still = torch.full((2, 2, 5, 7), -100.3, dtype=torch.float64), torch.zeros(4, 8, dtype=torch.float64)
    actual = warp(query, key, value, flow, still, still, 4)
    torch.testing.assert_close(actual, value[:, :1, :1].expand_as(value))


@pytest.mark.parametrize('shape', [(1, 1, 1, 4), (2, 5, 7, 8), (1, 9, 4, 12), (3, 1, 6, 8)])
@pytest.mark.parametrize('num_heads', [1, 4])
def test_matches_naive(shape, num_heads):
    query, key, value, flow, *positions = inputs(*shape)

    def of(warp):
        return lambda q, k, v, kp, vp: warp(q, k, v, flow, kp, vp, num_heads)

    assert_same_function(of(implicit_warp_torch), of(implicit_warp_naive), [query, key, value, *positions])


def test_matches_naive_in_bfloat16():
    query, key, value, flow, *positions = inputs()

    def of(warp):
        return lambda q, k, v, kp, vp: warp(q, k, v, flow, kp, vp, 2)

    tensors = [query, key, value, *positions]
    assert_same_function(of(implicit_warp_torch), of(implicit_warp_naive), tensors, torch.bfloat16)


def test_wrong_shapes_are_named():
    query, key, value, flow, *positions = inputs()
    with pytest.raises(ValueError, match=r'give three \(n, h, w, c\) and \(n, 2, h, w\)'):
        implicit_warp(query, key, value, flow[:, :1], *positions, 2)
    with pytest.raises(ValueError, match='8 channels in 3 heads need a multiple'):
        implicit_warp(query, key, value, flow, *positions, 3)
