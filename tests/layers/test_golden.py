"""The layers produce the numbers of the published implementation."""

import pytest
import torch

from gsm_plugin.layers.bimamba import BiMamba
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.window_attention import AttentionGroup
from gsm_plugin.ops import compose_window_flows
from tests.golden import TOLERANCE, expected, random_input, with_golden_weights

BACKENDS = ('torch', 'naive')


def assert_golden(actual, key):
    torch.testing.assert_close(actual, expected(key), atol=TOLERANCE, rtol=0)


def channels_first(x):
    return x.movedim(-1, 1)


@pytest.mark.parametrize('backend', BACKENDS)
def test_bimamba(backend):
    module = with_golden_weights(BiMamba(12, backend=backend), 'bimamba.')
    assert_golden(module(random_input('bm/u', (2, 37, 12), -1, 1)), 'bimamba/output')


@pytest.mark.parametrize('backend', BACKENDS)
def test_window_attention_group(backend):
    module = with_golden_weights(AttentionGroup(16, 2, 2, backend=backend), 'attn_blocks.')
    u = random_input('at/u', (1, 16, 5, 12, 19), -1, 1)
    assert_golden(channels_first(module(u.movedim(1, -1))), 'window_attention_group/output')


@pytest.mark.parametrize('backend', BACKENDS)
def test_implicit_warp(backend):
    module = with_golden_weights(ImplicitWarp(16, 4, backend), 'implicit_warp.')
    assert_golden(module.position_bias, 'implicit_warp/position_bias')
    frames, target = (random_input(f'iw/{name}', (2, 16, 12, 20), -1, 1).movedim(1, -1) for name in 'yx')
    flow = random_input('iw/flow', (2, 12, 20, 2), -4, 4).movedim(-1, 1)
    assert_golden(channels_first(module(frames, target, flow)), 'implicit_warp/output')


def test_gather_scatter_block():
    block = with_golden_weights(GatherScatterBlock(16), 'mamba_block.')
    warp = with_golden_weights(ImplicitWarp(16, 4), 'implicit_warp.')
    window = random_input('gs/u', (1, 16, 5, 12, 20), -1, 1).movedim(1, -1)
    flows = [random_input(f'gs/flows_{way}', (1, 4, 2, 12, 20), -2, 2) for way in ('backward', 'forward')]
    gather_flow, scatter_flow = (flow[:, 2] for flow in compose_window_flows(*flows, pa_frame=2, anchor=2))
    gathered = block.gather(window, gather_flow, 2, warp)
    assert_golden(channels_first(gathered), 'gather_scatter_block/gathered')
    assert_golden(channels_first(block.scatter(gathered, scatter_flow, 2)), 'gather_scatter_block/scattered')
    output = block(window, gather_flow, scatter_flow, 2, warp)
    assert_golden(channels_first(output), 'gather_scatter_block/output')
