"""Attention blocks without gradients: in parts of the clip, each written over the one before."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from gsm_plugin.fast.grouping import join
from gsm_plugin.fast.window_parts import Part, attend, parts_of
from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.layers.window_attention import AttentionBlock, AttentionGroup
from gsm_plugin.ops import FeedForward, gated_feed_forward

# Frames go through a block in parts of at most so many tokens, as far as their windows permit. A CPU is as fast with a
# few, and small clips, on which memory is measured, are then in parts too.
_TOKENS_AT_ONCE, _TOKENS_ON_CPU = 2**18, 2**13


def run_group(group: AttentionGroup, x: Tensor, into: Tensor | None = None) -> Tensor:
    """What the group gives, (b, t, h, w, dim) -> the same, which may be written into a tensor, such as x.

    Without a tensor for it, x stays as it is. Without blocks, the result is x.
    """
    for block in cast(Iterable[AttentionBlock], group.blocks):
        # the first block leaves its input as it is, the others may write over theirs
        x = into = run_block(block, x, into)
    return x


def run_block(block: AttentionBlock, x: Tensor, into: Tensor | None = None) -> Tensor:
    """What the block gives, (b, t, h, w, dim) -> the same, which may be written into a tensor, such as x."""
    if block.training and block.drop_path.p:
        # branches are left out at random
        return block(x)
    _, t, h, w, _ = x.shape
    at_once = _TOKENS_ON_CPU if x.is_cpu else _TOKENS_AT_ONCE
    parts, bias = parts_of(block.attn, (t, h, w), at_once), block.attn.relative_position_bias()
    dtype = precision_of_products(x)
    parameters = _behind_the_heads(block, dtype)

    def run(part: Part) -> Tensor:
        frames = x[:, part.frames]
        attended = attend(block.attn, block.norm1(frames), part, bias)
        own = None if into is None else into[:, part.frames]
        return gated_feed_forward(frames, attended, parameters, block.norm2.eps, dtype, into=own)

    return join(map(run, parts), [part.frames for part in parts], 1, into)


def _behind_the_heads(block: AttentionBlock, dtype: torch.dtype) -> FeedForward:
    """Parameters of all that comes behind the heads, matrices in the type in which they are multiplied."""
    layers = block.attn.proj, block.norm2, block.mlp.fc11, block.mlp.fc12, block.mlp.fc2
    pairs = [(layer.weight.to(dtype) if layer.weight.ndim == 2 else layer.weight, layer.bias) for layer in layers]
    return FeedForward(*(parameter for pair in pairs for parameter in pair))
