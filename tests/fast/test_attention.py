import itertools

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.fast.attention import run_group
from gsm_plugin.fast.window_parts import parts_of
from gsm_plugin.layers.window_attention import AttentionGroup


def group(window_size, qkv_bias):
    torch.manual_seed(0)
    blocks = AttentionGroup(8, 2, 2, window_size, qkv_bias=qkv_bias).eval().double()
    for parameter in blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return blocks


@pytest.mark.parametrize('window_size', [(2, 4, 4), (4, 4, 4), (1, 4, 4)])
@pytest.mark.parametrize('qkv_bias', [False, True])
def test_frames_in_parts_are_those_of_the_whole_clip(monkeypatch, window_size, qkv_bias):
    blocks = group(window_size, qkv_bias)
    for frames, side, windows_at_once in itertools.product(range(1, 12), (3, 6), (1, 2)):
        x = torch.randn(2, frames, side, side + 1, 8, dtype=torch.double)
        before = x.clone()
        tokens = windows_at_once * window_size[0] * side * (side + 1)
        monkeypatch.setattr('gsm_plugin.fast.attention._TOKENS_ON_CPU', tokens)
        with torch.no_grad():
            in_parts = run_group(blocks, x)
        torch.testing.assert_close(in_parts, blocks(x).detach(), atol=1e-10, rtol=0)
        assert torch.equal(x, before)


@pytest.mark.parametrize('frames', range(1, 12))
@pytest.mark.parametrize('depth', [1, 2, 4])
def test_parts_are_all_frames_once_and_no_larger_than_asked_for(frames, depth):
    for block, at_once in itertools.product(group((depth, 4, 4), False).blocks, (1, 20 * depth, 41 * depth)):
        parts = parts_of(block.attn, (frames, 4, 5), at_once)
        assert [i for part in sorted(parts) for i in range(frames)[part.frames]] == list(range(frames))
        assert all(part.frames.stop - part.frames.start <= max(depth, at_once // 20) for part in parts)
        assert at_once > 1 or len(parts) >= frames / depth
