import weakref

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.fast.gather_scatter import FastGatherScatter
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.precision import policy_for


def window(scatter='all'):
    """A block and a warp with random parameters, and what the block takes: two clips, three frames."""
    torch.manual_seed(0)
    block, warp = GatherScatterBlock(8, scatter=scatter).double(), ImplicitWarp(8, 2).double()
    for parameter in (*block.parameters(), *warp.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    x, flow = torch.randn(2, 3, 5, 7, 8, dtype=torch.double), torch.randn(2, 3, 2, 5, 7, dtype=torch.double)
    return block, warp, x, flow


@torch.no_grad()
@pytest.mark.parametrize('clips', [1, 2])
@pytest.mark.parametrize('wanted', [slice(0, 3), slice(1, 3), slice(2, 3), slice(0, 1)])
@pytest.mark.parametrize('scatter', ['all', 'anchor'])
def test_wanted_frames_that_are_overwritten_become_what_they_would_have_been(clips, wanted, scatter):
    block, warp, x, flow = window(scatter)
    x, flow = x[:clips], flow[:clips]
    expected = block(x, flow, -flow, 1, warp)
    # of two clips, frames of longer ones are not next to each other in memory
    longer = torch.randn(clips, 5, 5, 7, 8, dtype=torch.double)
    others = longer[:, 3:].clone()
    place = longer[:, :3].copy_(x)
    fast = FastGatherScatter(block, warp, policy_for('inference', 'fp32'), torch.double)
    fast.overwrite(place, flow, -flow, 1, wanted)
    torch.testing.assert_close(place[:, wanted], expected[:, wanted], atol=1e-10, rtol=0)
    assert torch.equal(longer[:, 3:], others)


@torch.no_grad()
@pytest.mark.parametrize('scatter', ['all', 'anchor'])
def test_under_autocast_a_window_of_float16_is_mixed_in_float16(scatter):
    block, warp, x, flow = (part.float() for part in window(scatter))
    expected = block(x, flow, -flow, 1, warp)
    with torch.autocast('cpu', torch.bfloat16):
        actual = x.half()
        fast = FastGatherScatter(block, warp, policy_for('inference', 'bf16'), torch.half)
        fast.overwrite(actual, flow, -flow, 1, slice(0, 3))
    assert (actual - expected).norm() < 1e-2 * (expected - x).norm()


@torch.no_grad()
def test_gathered_tokens_are_gone_while_they_are_scanned(monkeypatch):
    block, warp, x, flow = window()
    # with a scan by name, as on a GPU, the projections are apart from it
    block.mamba.backend = 'torch'
    fast = FastGatherScatter(block, warp, policy_for('inference', 'fp32'), torch.double)
    tokens, were_there = [], []
    gather, scan = fast._warp.normed, fast._mix

    def noted(*args):
        result = gather(*args)
        tokens.append(weakref.ref(result))
        return result

    def watched(*args):
        were_there.append(tokens[0]() is not None)
        return scan(*args)

    monkeypatch.setattr(fast._warp, 'normed', noted)
    monkeypatch.setattr(fast, '_mix', watched)
    fast.overwrite(x, flow, -flow, 1, slice(0, 3))
    assert were_there == [False]
