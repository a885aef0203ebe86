import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gsm_plugin.ops import ConvFeedForward, conv_feed_forward
from tests.ops.comparison import TOLERANCES, random_tensors

# clips, frames, height, width, channels, hidden channels
SIZES = pytest.mark.parametrize(
    'sizes', [(1, 1, 1, 1, 3, 5), (2, 3, 5, 7, 4, 18), (1, 5, 9, 3, 8, 70), (1, 2, 33, 2, 4, 33), (1, 4, 6, 300, 4, 16)]
)


def tensors(sizes, dtype=torch.float64):
    """x, parameters that leave results of about one, and a total whose clips are parts of longer ones."""
    b, t, h, w, c, n = sizes
    shapes = (b, t, h, w, c), (b, t + 2, h, w, c), (n, c), (n,), (n, 3, 3, 3), (n,), (c, n)
    x, total, inner, inner_bias, taps, taps_bias, out = (x.to(dtype) for x in random_tensors(*shapes))
    return x, ConvFeedForward(inner / c**0.5, inner_bias, taps / 5, taps_bias, out / n**0.5), total


@torch.no_grad()
def test_naive_is_what_the_layers_of_pytorch_make_of_it():
    x, p, total = tensors((2, 3, 4, 5, 6, 8))
    conv = nn.Conv3d(8, 8, 3, padding=1, groups=8).double()
    conv.weight.copy_(p.taps[:, None])
    conv.bias.copy_(p.taps_bias)
    hidden = F.gelu(conv(F.linear(x, p.inner, p.inner_bias).movedim(-1, 1)).movedim(1, -1))
    expected = total[:, 1:3] + F.linear(hidden, p.out)[:, 1:]
    actual = conv_feed_forward(x, p, slice(1, 3), total[:, 1:3], 'naive')
    torch.testing.assert_close(actual, expected)


@torch.no_grad()
@SIZES
@pytest.mark.parametrize('backend', ['numba', 'torch'])
@pytest.mark.parametrize('every', [True, False])
def test_matches_naive(sizes, backend, every):
    if backend == 'numba':
        pytest.importorskip('numba')
    t = sizes[1]
    wanted = slice(0, t) if every else slice(t // 2, max(t - 1, t // 2))
    place = slice(1 + wanted.start, 1 + wanted.stop)
    x, parameters, total = tensors(sizes, torch.float32)
    expected = total.double()
    wide = ConvFeedForward(*(p.double() for p in parameters))
    conv_feed_forward(x.double(), wide, wanted, expected[:, place], 'naive')
    conv_feed_forward(x, parameters, wanted, total[:, place], backend)
    absolute, relative = TOLERANCES[torch.float32]
    torch.testing.assert_close(total.double(), expected, atol=absolute * expected.abs().max(), rtol=relative)


def test_refuses_gradients_sizes_and_frames_apart():
    x, parameters, total = tensors((1, 3, 4, 5, 6, 8))
    with pytest.raises(ValueError, match='keeps no gradients'):
        conv_feed_forward(x, parameters, slice(0, 3), total[:, :3])
    with torch.no_grad():
        with pytest.raises(ValueError, match=r'2 frames of x \(1, 3, 4, 5, 6\) need \(1, 2, 4, 5, 6\)'):
            conv_feed_forward(x, parameters, slice(0, 2), total[:, :3])
        with pytest.raises(ValueError, match='give contiguous frames'):
            conv_feed_forward(x, parameters, slice(0, 2), total[:, ::2][:, :2])
        with pytest.raises(ValueError, match=r'out has the shape .*6 channels of x need \(6, 8\)'):
            conv_feed_forward(x, parameters._replace(out=parameters.inner), slice(0, 3), total[:, :3])
