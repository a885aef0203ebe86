import math

import pytest
import torch

from gsm_plugin.ops import extend_by_reflection, surrounding_pixels


def test_takes_the_four_pixels_around_the_place_and_zeros_outside():
    generator = torch.Generator().manual_seed(0)
    n, c, h, w = 2, 3, 5, 4
    x = torch.rand(n, c, h, w, generator=generator)
    flow = 4 * torch.rand(n, 2, h, w, generator=generator) - 2
    flow[0, :, 0, 0] = torch.tensor([1.0, 2.0])
    actual = surrounding_pixels(x, flow)
    for i in range(n):
        for row in range(h):
            for column in range(w):
                p_x, p_y = column + flow[i, 0, row, column].item(), row + flow[i, 1, row, column].item()
                corners = [(f(p_x), g(p_y)) for f in (math.floor, math.ceil) for g in (math.floor, math.ceil)]
                expected = [x[i, :, b, a] if 0 <= a < w and 0 <= b < h else torch.zeros(c) for a, b in corners]
                assert torch.equal(actual[i, :, row, column], torch.cat(expected))


def test_zero_flow_takes_every_pixel_four_times():
    x = torch.rand(1, 3, 1, 6)
    assert torch.equal(surrounding_pixels(x, torch.zeros(1, 2, 1, 6)), x.repeat(1, 4, 1, 1))


def test_the_image_gets_a_gradient_and_the_flow_none():
    x, flow = torch.rand(1, 3, 4, 4, requires_grad=True), torch.rand(1, 2, 4, 4, requires_grad=True)
    surrounding_pixels(x, flow).sum().backward()
    assert x.grad.sum() > 0
    assert flow.grad is None


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'x \(1, 3, 4, 4\) and flow \(1, 2, 4, 5\); give'):
        surrounding_pixels(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 5))


@pytest.mark.parametrize(
    'length, side, expected',
    [
        (3, 5, [0, 1, 2, 1, 0]),
        (3, 8, [0, 1, 2, 1, 0, 1, 2, 1]),
        (1, 4, [0] * 4),
        (2, 5, [0, 1, 0, 1, 0]),
        (3, 2, [0, 1, 2]),
    ],
)
def test_reflection_goes_on_as_long_as_it_takes(length, side, expected):
    x = torch.arange(length)[None, :, None].expand(2, -1, 3)
    assert extend_by_reflection(x, 1, side)[1, :, 2].tolist() == expected
