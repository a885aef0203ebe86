"""Mutual attention against its definition, window by window and head by head."""

import math
from itertools import product

import pytest
import torch

from gsm_plugin.layers.mutual_attention import MutualWindowAttention
from gsm_plugin.layers.window_attention import AttentionGroup, WindowAttention


def module(window=(2, 4, 4), shift=(0, 0, 0), dim=8, heads=2, bias=True, backend='auto'):
    torch.manual_seed(0)
    net = MutualWindowAttention(dim, window, shift, heads, backend, qkv_bias=bias)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return net.double()


def clip(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def sine_code(row, column, height, width, dim):
    """The code of a place, channel by channel."""
    code = []
    for place, size in ((row, height), (column, width)):
        angle = (place + 1) / (size + 1e-6) * 2 * math.pi
        for channel in range(dim // 2):
            scaled = angle / 10000 ** (2 * (channel // 2) / (dim // 2))
            code.append(math.cos(scaled) if channel % 2 else math.sin(scaled))
    return torch.tensor(code, dtype=torch.float64)


def mutual_naive(net, x, window, shift):
    """What the heads see of the other frame, for volumes of whole windows (t, h, w, dim)."""
    sides, heads = x.shape[:3], net.num_heads
    axes = [range(side // size) for side, size in zip(sides, window, strict=True)]
    output = torch.zeros_like(x)
    for corner in product(*axes):
        tokens = []
        for frame in (0, 1):
            places = [(frame, row, column) for row in range(window[1]) for column in range(window[2])]
            moved = [[c * size + p + s for c, size, p, s in zip(corner, window, place, shift, strict=True)]
                     for place in places]  # fmt: skip
            tokens.append([tuple(p % side for p, side in zip(place, sides, strict=True)) for place in moved])
        # In the last window of a shifted side, what came around the border is masked; time plays no part.
        border = [
            tuple(c == side // size - 1 and p >= size - s
                  for c, size, p, s, side in zip(corner[1:], window[1:], place[1:], shift[1:], sides[1:], strict=True))
            for place in places
        ]  # fmt: skip
        mask = torch.tensor([[-100.0 * (a != b) for b in border] for a in border], dtype=torch.float64)
        code = torch.stack([net.position_bias[0, net.window_size[2] * row + column] for _, row, column in places])
        projected = [net.qkv_mut(torch.stack([x[token] for token in frame]) + code) for frame in tokens]
        for own, other in ((0, 1), (1, 0)):
            query = projected[other].chunk(3, -1)[0]
            key, value = projected[own].chunk(3, -1)[1:]
            parts = []
            for q, k, v in zip(query.chunk(heads, -1), key.chunk(heads, -1), value.chunk(heads, -1), strict=True):
                parts.append((q @ k.t() * q.shape[-1] ** -0.5 + mask).softmax(-1) @ v)
            for token, result in zip(tokens[own], torch.cat(parts, -1), strict=True):
                output[token] = result
    return output


@pytest.mark.parametrize('backend', ['torch', 'naive'])
@pytest.mark.parametrize('shift', [(0, 0, 0), (1, 2, 2), (1, 2, 1)])
@pytest.mark.parametrize('sides', [(4, 8, 8), (6, 8, 12)])
def test_matches_the_definition(sides, shift, backend):
    net, x = module(shift=shift, backend=backend), clip(*sides, 8)
    seen = torch.cat((mutual_naive(net, x, (2, 4, 4), shift)[None], WindowAttention.attend(net, x[None])), -1)
    torch.testing.assert_close(net(x[None]), net.proj(seen))


def test_a_side_no_longer_than_the_window_shrinks_it_and_is_not_shifted():
    net, x = module(shift=(1, 2, 2)), clip(2, 3, 8, 8)
    seen = torch.cat((mutual_naive(net, x, (2, 3, 4), (0, 0, 2))[None], WindowAttention.attend(net, x[None])), -1)
    torch.testing.assert_close(net(x[None]), net.proj(seen))


@pytest.mark.parametrize('kind', [MutualWindowAttention, WindowAttention])
def test_sides_are_filled_up_with_zeros_whose_projections_are_attended_to(kind):
    torch.manual_seed(0)
    net = kind(8, (2, 4, 4), (0, 2, 2), 2, qkv_bias=True).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = clip(1, 3, 6, 9, 8)
    filled = torch.nn.functional.pad(x, (0, 0, 0, 3, 0, 2, 0, 1))
    torch.testing.assert_close(net(x), net(filled)[:, :3, :6, :9])


def test_the_position_code_is_float32_and_in_the_state_dict():
    net = module(window=(2, 3, 5), dim=12)
    code = MutualWindowAttention(12, (2, 3, 5), (0, 0, 0), 2).state_dict()['position_bias']
    assert code.dtype == torch.float32
    expected = torch.stack([sine_code(row, column, 3, 5, 12) for row in range(3) for column in range(5)])
    torch.testing.assert_close(code, expected[None].float(), atol=1e-6, rtol=0)
    assert net.position_bias.shape == (1, 15, 12)


def test_channels_that_the_position_code_cannot_fill_are_named():
    with pytest.raises(ValueError, match='got 6 channels; sine and cosine of x and y need a multiple of 4'):
        MutualWindowAttention(6, (2, 4, 4), (0, 0, 0), 2)


def test_a_group_gives_each_block_its_own_probability_and_width():
    group = AttentionGroup(8, 3, 2, (2, 4, 4), drop_paths=[0.1, 0.2, 0.3], mlp_ratio=1.3)
    assert [block.drop_path.p for block in group.blocks] == [0.1, 0.2, 0.3]
    assert group.blocks[0].mlp.fc11.out_features == 10


@pytest.mark.parametrize('recompute', [False, True])
def test_a_block_that_training_leaves_out_changes_nothing(recompute):
    torch.manual_seed(0)
    group = AttentionGroup(8, 1, 2, (2, 4, 4), drop_paths=[1.0], recompute_attn=recompute, recompute_ffn=recompute)
    x = torch.randn(2, 2, 4, 4, 8)
    assert torch.equal(group(x), x)
    assert not torch.equal(group.eval()(x), x)
