import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp


@pytest.fixture
def window():
    """A block and a warp with random parameters, and what the block takes: two clips, three frames."""
    torch.manual_seed(0)
    block, warp = GatherScatterBlock(8).double(), ImplicitWarp(8, 2).double()
    for parameter in (*block.parameters(), *warp.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    x, flow = torch.randn(2, 3, 5, 7, 8, dtype=torch.double), torch.randn(2, 3, 2, 5, 7, dtype=torch.double)
    return block, warp, x, flow


@torch.no_grad()
@pytest.mark.parametrize('clips', [1, 2])
@pytest.mark.parametrize('frames', [3, 5])
def test_a_window_that_is_overwritten_becomes_what_it_would_have_been(window, clips, frames):
    block, warp, x, flow = window
    x, flow = x[:clips], flow[:clips]
    constants = block.constants(warp)
    expected = block(x, flow, -flow, 1, constants)
    # of two clips, frames of longer ones are not next to each other in memory
    longer = torch.randn(clips, frames, 5, 7, 8, dtype=torch.double)
    others = longer[:, 3:].clone()
    place = longer[:, :3].copy_(x)
    assert block(place, flow, -flow, 1, constants, in_place=True).data_ptr() == longer.data_ptr()
    torch.testing.assert_close(longer[:, :3], expected, atol=1e-10, rtol=0)
    assert torch.equal(longer[:, 3:], others)


@torch.no_grad()
def test_under_autocast_a_window_of_float16_is_mixed_in_float16(window):
    block, warp, x, flow = (part.float() for part in window)
    expected = block(x, flow, -flow, 1, block.constants(warp))
    with torch.autocast('cpu', torch.bfloat16):
        actual = block(x.half(), flow, -flow, 1, block.constants(warp), in_place=True)
    assert actual.dtype == torch.float16
    assert (actual - expected).norm() < 1e-2 * (expected - x).norm()
