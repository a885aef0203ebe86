"""Shifted-window attention within frames and their neighbours (Swin, arXiv 2103.14030; VRT, arXiv 2201.12288)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.grouping import join
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.mlp import GatedMlp
from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.ops import FeedForward, gated_feed_forward, pad_to_windows, residual_sum, window_attention

Size3d = tuple[int, int, int]

# In inference, frames go through a block in groups of at most so many tokens, as far as their windows permit.
_TOKENS_AT_ONCE = 2**18


class Part(NamedTuple):
    """Frames of a clip that do not see the others, and the windows in which they see each other.

    Attributes:
        frames: The frames.
        window: Depth, height and width of their windows in tokens.
        shift: By how much they are shifted.
        places: Their tokens' places in a window of the whole clip.
    """

    frames: slice
    window: Size3d
    shift: Size3d
    places: slice


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a relative position bias.

    Args:
        dim: Channels, a multiple of `num_heads`.
        window_size: Depth, height and width of a window. A side of the input that is not longer than the window
            shrinks the window to it and is not shifted.
        shift_size: By how much the windows are shifted.
        num_heads: Number of heads.
        backend: Backend of the op.
        qkv_bias: Whether query, key and value have a bias.
    """

    def __init__(
        self,
        dim: int,
        window_size: Size3d,
        shift_size: Size3d,
        num_heads: int,
        backend: str = 'auto',
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.window_size, self.shift_size, self.backend = window_size, shift_size, backend
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * window_size[0] - 1) * (2 * window_size[1] - 1) * (2 * window_size[2] - 1), num_heads)
        )
        self.register_buffer('relative_position_index', relative_position_index(window_size))
        self.qkv_self = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        return self.proj(self.attend(x))

    def attend(self, x: Tensor, part: Part | None = None, bias: Tensor | None = None) -> Tensor:
        """What the heads see, before it is projected.

        Args:
            x: A clip or a part of it, (b, t, h, w, dim).
            part: Which part it is.
            bias: Result of `relative_position_bias`, for callers with many parts.

        Returns:
            (b, t, h, w, channels that are projected).
        """
        t, h, w = x.shape[1:4]
        _, window, shift, places = self._whole(x.shape[1:4]) if part is None else part
        bias = self.relative_position_bias() if bias is None else bias
        # Without a bias, the zero tokens that pad the windows stay zero, and need not be projected.
        padded = x if self.qkv_self.bias is None else pad_to_windows(x, window)
        output = window_attention(self.qkv_self(padded), bias[:, places, places], window, shift, self.backend)
        return output[:, :t, :h, :w]

    def relative_position_bias(self) -> Tensor:
        """What is added to the logits of the tokens of a window, (heads, n, n).

        As published, a shrunk window has the corner of it, and none that is computed for its shape.
        """
        # contiguous, as the kernel reads it
        return self.relative_position_bias_table.t()[:, self.relative_position_index]

    def fit(self, sides: Size3d) -> tuple[Size3d, Size3d]:
        """The window and the shift for a volume of some sides."""
        window = tuple(min(side, size) for side, size in zip(sides, self.window_size, strict=True))
        axes = zip(sides, self.window_size, self.shift_size, strict=True)
        return window, tuple(0 if side <= size else shift for side, size, shift in axes)

    def parts(self, sides: Size3d, at_once: int) -> list[Part]:
        """Parts of a clip of some sides, of about so many tokens each, but not less than a window's frames.

        Where windows are shifted in time, the last one has the last frames and the first ones, which do not see each
        other.
        """
        whole = self._whole(sides)
        (length, height, width), (depth, *_), (shift, *_) = sides, whole.window, whole.shift
        group = depth * max(1, at_once // (depth * height * width))
        if group >= length:
            return [whole]
        tokens, last = whole.places.stop // depth, length + -length % depth - depth + shift

        def part(first: int, end: int, frames_before: int = 0, frames: int = depth) -> Part:
            places = slice(frames_before * tokens, (frames_before + frames) * tokens)
            return Part(slice(first, min(end, length)), (frames, *whole.window[1:]), (0, *whole.shift[1:]), places)

        if not shift:
            return [part(first, first + group) for first in range(0, length, group)]
        parts = [part(0, shift, depth - shift, shift)]
        parts += [part(first, min(first + group, last)) for first in range(shift, last, group)]
        return parts + ([part(last, length, 0, depth - shift)] if last < length else [])

    def _whole(self, sides: Size3d) -> Part:
        window, shift = self.fit(sides)
        return Part(slice(0, sides[0]), window, shift, slice(0, window[0] * window[1] * window[2]))


class AttentionBlock(nn.Module):
    """`x += attention(LN(x))`, `x += GEGLU(LN(x))`.

    Args:
        dim: Channels.
        window_size: See `WindowAttention`.
        shift_size: See `WindowAttention`.
        num_heads: Number of heads.
        mlp_ratio: Width of the feed-forward network relative to `dim`.
        recompute_attn: Compute the attention's activations again in the backward pass.
        recompute_ffn: The same for the feed-forward network.
        backend: Backend of the op.
        qkv_bias: See `WindowAttention`.
        drop_path: Probability that training leaves out a branch for a clip (arXiv 1603.09382).
        attention: The class of the attention.
    """

    def __init__(
        self,
        dim: int,
        window_size: Size3d,
        shift_size: Size3d,
        num_heads: int,
        mlp_ratio: float = 2,
        recompute_attn: bool = False,
        recompute_ffn: bool = False,
        backend: str = 'auto',
        qkv_bias: bool = False,
        drop_path: float = 0.0,
        attention: type[WindowAttention] = WindowAttention,
    ) -> None:
        super().__init__()
        self.recompute_attn, self.recompute_ffn = recompute_attn, recompute_ffn
        self.norm1 = LayerNorm(dim)
        self.attn = attention(dim, window_size, shift_size, num_heads, backend, qkv_bias)
        self.drop_path = StochasticDepth(drop_path, 'row')
        self.norm2 = LayerNorm(dim)
        self.mlp = GatedMlp(dim, int(mlp_ratio * dim))

    def forward(self, x: Tensor, into: Tensor | None = None) -> Tensor:
        """(b, t, h, w, dim) -> the same, which without gradients may be written into a tensor, such as x."""
        if torch.is_grad_enabled() or (self.training and self.drop_path.p):
            return self._train(x)
        parts, bias = self.attn.parts(x.shape[1:4], _TOKENS_AT_ONCE), self.attn.relative_position_bias()
        dtype = precision_of_products(x)
        parameters = self._behind_the_heads(dtype)

        def run(part: Part) -> Tensor:
            frames = x[:, part.frames]
            attended = self.attn.attend(self.norm1(frames), part, bias)
            own = None if into is None else into[:, part.frames]
            return gated_feed_forward(frames, attended, parameters, self.norm2.eps, dtype, into=own)

        return join(map(run, parts), [part.frames for part in parts], 1, into)

    def _behind_the_heads(self, dtype: torch.dtype) -> FeedForward:
        """Parameters of all that comes behind the heads, matrices in the type in which they are multiplied."""
        layers = self.attn.proj, self.norm2, self.mlp.fc11, self.mlp.fc12, self.mlp.fc2
        pairs = [(layer.weight.to(dtype) if layer.weight.ndim == 2 else layer.weight, layer.bias) for layer in layers]
        return FeedForward(*(parameter for pair in pairs for parameter in pair))

    def _train(self, x: Tensor) -> Tensor:
        attended = checkpointing.run(lambda y: self.attn(self.norm1(y)), x, recompute=self.recompute_attn)
        if not (self.training and self.drop_path.p):
            return checkpointing.run(self._feed_forward, x, attended, recompute=self.recompute_ffn)
        # What is computed again may not draw random numbers, so it stops short of the sum.
        x = x + self.drop_path(attended)
        return x + self.drop_path(checkpointing.run(lambda y: self.mlp(self.norm2(y)), x, recompute=self.recompute_ffn))

    def _feed_forward(self, x: Tensor, attended: Tensor) -> Tensor:
        x, normed = self.norm2.of_sum(x, attended)
        return residual_sum(x, self.mlp(normed), None)


class AttentionGroup(nn.Module):
    """A sequence of attention blocks, the windows of every second one shifted by half a window.

    Args:
        dim: Channels.
        depth: Number of blocks.
        num_heads: Number of heads.
        window_size: See `WindowAttention`.
        drop_paths: For every block its `drop_path`; None for none.
        **block_options: Passed to every `AttentionBlock`.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        num_heads: int,
        window_size: Size3d = (2, 8, 8),
        drop_paths: Sequence[float] | None = None,
        **block_options,
    ) -> None:
        super().__init__()
        drop_paths = [0.0] * depth if drop_paths is None else drop_paths
        shifted = tuple(size // 2 for size in window_size)
        self.blocks = nn.ModuleList(
            AttentionBlock(
                dim,
                window_size,
                shifted if i % 2 else (0, 0, 0),
                num_heads,
                drop_path=drop_paths[i],
                **block_options,
            )
            for i in range(depth)
        )

    def forward(self, x: Tensor, into: Tensor | None = None) -> Tensor:
        """(b, t, h, w, dim) -> the same, which without gradients may be written into a tensor, such as x."""
        for block in self.blocks:
            # without a tensor for it, the first block leaves its input as it is, the others may write over theirs
            x = into = block(x, into)
        return x


def relative_position_index(window_size: Size3d) -> Tensor:
    """The row of the bias table for every pair of tokens of a window of that depth, height and width, (n, n)."""
    axes = [torch.arange(size) for size in window_size]
    position = torch.stack(torch.meshgrid(*axes, indexing='ij')).flatten(1)
    offset = position[:, :, None] - position[:, None, :] + torch.tensor(window_size)[:, None, None] - 1
    d, h, w = offset
    return (d * (2 * window_size[1] - 1) + h) * (2 * window_size[2] - 1) + w
