import torch

from gsm_plugin.layers.diagnostics import attention_to_positions, describe_blocks, relative_distance
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp


def test_attention_that_does_not_look_at_positions_is_zero():
    torch.manual_seed(0)
    warp = ImplicitWarp(8, 2)
    assert attention_to_positions(warp) > 0
    torch.nn.init.zeros_(warp.k.weight)
    assert attention_to_positions(warp) == 0


def test_steps_that_forget_nothing_or_everything_are_dead():
    blocks = [GatherScatterBlock(8), GatherScatterBlock(8)]
    assert describe_blocks(blocks)['scan_steps_dead'] == 0
    torch.nn.init.constant_(blocks[0].mamba.dt_proj.bias, -20)
    torch.nn.init.constant_(blocks[1].mamba.dt_proj_b.bias, 20)
    assert describe_blocks(blocks)['scan_steps_dead'] == 0.5


def test_a_scatter_that_adds_nothing_has_no_gain():
    block = GatherScatterBlock(8)
    assert describe_blocks([block])['scatter_gain'] > 0
    torch.nn.init.zeros_(block.mamba.out_proj.weight)
    assert describe_blocks([block])['scatter_gain'] == 0


def test_the_distance_of_networks_is_relative():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict({name: 2 * value for name, value in one.state_dict().items()})
    assert relative_distance(one, one) == 0
    assert abs(relative_distance(one, other) - 1) < 1e-6
