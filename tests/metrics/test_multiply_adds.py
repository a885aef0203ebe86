"""Counts against counts by hand."""

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import pytest
import torch
from basicsr.archs.basicvsr_arch import BasicVSR
from basicsr.archs.edvr_arch import EDVR
from torch import nn

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.bimamba import BiMamba
from gsm_plugin.layers.upsample import FrameConv
from gsm_plugin.metrics.multiply_adds import count, count_per_pixel, scan_multiply_adds


def conv(side, inputs, outputs):
    return side**2 * inputs * outputs


def test_basicvsr_is_counted_as_by_hand():
    c, blocks = 8, 2
    # Six levels, each half as wide as the next one, and both directions.
    spynet = conv(7, 8, 32) + 2 * conv(7, 32, 64) + conv(7, 32, 16) + conv(7, 16, 2)
    flow = 2 * spynet * sum(4.0**-level for level in range(6))
    trunk = conv(3, c + 3, c) + blocks * 2 * conv(3, c, c)
    head = conv(1, 2 * c, c) + conv(3, c, 4 * c) + 4 * conv(3, c, 256) + 16 * (conv(3, 64, 64) + conv(3, 64, 3))
    assert count_per_pixel(BasicVSR(c, blocks), (2, 3)) == pytest.approx(flow + 2 * trunk + head)


@pytest.mark.parametrize('width, length', [(8, 10), (32, 7)])
def test_a_bidirectional_mamba_is_counted_as_by_hand(width, length):
    inner, state, rank, kernel = 2 * width, 16, -(-width // 16), 4

    class Clip(nn.Module):
        """Two sequences, whatever the input."""

        def __init__(self):
            super().__init__()
            self.mamba = BiMamba(width)

        def forward(self, x):
            return self.mamba(torch.zeros(2, length, width))

    linear = width * 2 * inner + inner * width
    # Causal convolution, projection to delta, B and C, and that of delta.
    direction = inner * kernel + inner * (rank + 2 * state) + rank * inner
    scan = inner * (4 * state + 3)
    expected = 2 * length * (linear + 2 * (direction + scan))
    total, _ = count(Clip(), (1, 1, 3, 4, 4))
    assert total == pytest.approx(expected)
    assert scan_multiply_adds(2, length, inner, state) == 2 * length * scan


def test_a_convolution_is_counted_by_its_definition_however_a_cpu_computes_it():
    class Clip(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = FrameConv(3, 64)

        def forward(self, x):
            return FrameConv(64, 64)(self.conv(x[0]))

    total, _ = count(Clip(), (1, 1, 3, 64, 64))
    assert total == 64**2 * (conv(3, 3, 64) + conv(3, 64, 64))


def test_counting_leaves_the_network_as_it_was():
    network = GSMamba(prop_depth=2, attn_depth=1, pa_frame=1, embed_dims=16, num_heads=2).eval()
    clip = torch.rand(1, 2, 3, 8, 8)
    with torch.no_grad():
        before = network(clip)
        count(network, (1, 2, 3, 8, 8))
        torch.testing.assert_close(network(clip), before, atol=0, rtol=0)


def test_gsm_is_counted_with_its_attention_scans_and_warps():
    sizes = {'prop_depth': 2, 'attn_depth': 2, 'embed_dims': 16, 'num_heads': 2}
    per_pixel = {reach: count_per_pixel(GSMamba(pa_frame=reach, **sizes), (2, 3)) for reach in (0, 1)}
    # A wider window moves two frames more: they are mixed by the scan, and warped there and back.
    inner, state, layers, frames = 32, 16, 2, 2
    scans = 2 * inner * (4 * state + 3)
    projections = 16 * 2 * inner + inner * 16 + 2 * (inner * 4 + inner * (1 + 2 * state) + inner)
    warp = 16 * 3 * 16 + 4 * 2 * 16
    feed_forward = 2 * 16 * 64
    assert per_pixel[1] - per_pixel[0] >= layers * frames * (scans + projections + warp + feed_forward)
    assert per_pixel[1] < 4 * per_pixel[0]


def test_an_attention_window_is_counted():
    from gsm_plugin.layers.window_attention import WindowAttention

    class Clip(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = WindowAttention(16, (1, 8, 8), (0, 0, 0), 2)

        def forward(self, x):
            return self.attention(torch.zeros(1, 1, 16, 24, 16))

    tokens = 16 * 24
    expected = tokens * (16 * 48 + 16 * 16) + tokens * 64 * 2 * 16
    assert count(Clip(), (1, 1, 3, 4, 4))[0] == pytest.approx(expected)


def test_a_network_of_windows_is_counted_by_the_frame_that_it_gives():
    small = EDVR(num_feat=16, num_frame=3, num_reconstruct_block=1)
    larger = EDVR(num_feat=16, num_frame=3, num_reconstruct_block=2)
    difference = count_per_pixel(larger, (3,)) - count_per_pixel(small, (3,))
    assert difference == pytest.approx(2 * conv(3, 16, 16))


def test_a_deformable_convolution_is_counted_as_a_plain_one():
    import torchvision

    class Deform(nn.Module):
        def forward(self, x):
            image = torch.zeros(1, 8, 10, 12)
            offset, mask = torch.zeros(1, 2 * 9 * 2, 10, 12), torch.zeros(1, 9 * 2, 10, 12)
            weight = torch.zeros(6, 8, 3, 3)
            return torchvision.ops.deform_conv2d(image, offset, weight, padding=1, mask=mask)

    assert count(Deform(), (1, 1, 3, 4, 4))[0] == 10 * 12 * conv(3, 8, 6)
