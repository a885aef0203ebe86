import pytest
import torch

from gsm_plugin.ops import extend_by_reflection, surrounding_pixels
from tests.ops.comparison import assert_same_function, random_tensors


@pytest.mark.parametrize('shape', [(2, 3, 5, 4), (1, 1, 1, 1), (3, 2, 1, 65), (0, 3, 4, 5)])
def test_matches_naive(shape):
    n, _, h, w = shape
    x, flow = random_tensors(shape, (n, 2, h, w))
    flow = 2 * flow
    flow[:1, :, 0, 0] = 1.0

    def of(backend):
        return lambda x: surrounding_pixels(x, flow, backend)

    assert_same_function(of('torch'), of('naive'), [x])


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_takes_the_four_pixels_around_the_place_and_zeros_outside(backend):
    x = torch.arange(1.0, 13).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[0, :, 0, 0] = torch.tensor([1.5, 0.25])
    flow[0, :, 1, 1] = torch.tensor([1.0, -0.5])
    flow[0, :, 2, 3] = torch.tensor([0.5, -0.5])
    actual = surrounding_pixels(x, flow, backend)
    assert actual[0, :, 0, 0].tolist() == [2, 6, 3, 7]
    assert actual[0, :, 1, 1].tolist() == [3, 7, 3, 7]
    assert actual[0, :, 2, 3].tolist() == [8, 12, 0, 0]


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
