"""Shifted-window attention within frames and their neighbours (Swin, arXiv 2103.14030; VRT, arXiv 2201.12288)."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.layer_norm import LayerNorm, sum_and_norm
from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.mlp import GatedMlp
from gsm_plugin.ops import pad_to_windows, residual_sum, window_attention

Size3d = tuple[int, int, int]


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

    relative_position_index: Tensor

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

    def attend(self, x: Tensor) -> Tensor:
        """What the heads see, before it is projected: (b, t, h, w, dim) -> (b, t, h, w, channels of `proj`)."""
        t, h, w = x.shape[1:4]
        window, shift = self.fit((t, h, w))
        tokens, bias = math.prod(window), self.relative_position_bias()
        # Without a bias, the zero tokens that pad the windows stay zero, and need not be projected.
        padded = x if self.qkv_self.bias is None else pad_to_windows(x, window)
        output = window_attention(self.qkv_self(padded), bias[:, :tokens, :tokens], window, shift, self.backend)
        return output[:, :t, :h, :w]

    def relative_position_bias(self) -> Tensor:
        """What is added to the logits of the tokens of a window, (heads, n, n).

        As published, a shrunk window has the corner of it, and none that is computed for its shape.
        """
        # contiguous, as the kernel reads it
        return self.relative_position_bias_table.t()[:, self.relative_position_index]

    def fit(self, sides: Size3d) -> tuple[Size3d, Size3d]:
        """The window and the shift for a volume of some sides."""
        window = size_3d(min(side, size) for side, size in zip(sides, self.window_size, strict=True))
        axes = zip(sides, self.window_size, self.shift_size, strict=True)
        return window, size_3d(0 if side <= size else shift for side, size, shift in axes)


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

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        attended = checkpointing.run(lambda y: self.attn(self.norm1(y)), x, recompute=self.recompute_attn)
        if not (self.training and self.drop_path.p):
            return checkpointing.run(self._feed_forward, x, attended, recompute=self.recompute_ffn)
        # What is computed again may not draw random numbers, so it stops short of the sum.
        x = x + self.drop_path(attended)
        return x + self.drop_path(checkpointing.run(lambda y: self.mlp(self.norm2(y)), x, recompute=self.recompute_ffn))

    def _feed_forward(self, x: Tensor, attended: Tensor) -> Tensor:
        x, normed = sum_and_norm(x, attended, self.norm2)
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
        shifted = size_3d(size // 2 for size in window_size)
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

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        for block in self.blocks:
            x = block(x)
        return x


def size_3d(sides: Iterable[int]) -> Size3d:
    """Depth, height and width as a tuple."""
    depth, height, width = sides
    return depth, height, width


def relative_position_index(window_size: Size3d) -> Tensor:
    """The row of the bias table for every pair of tokens of a window of that depth, height and width, (n, n)."""
    axes = [torch.arange(size) for size in window_size]
    position = torch.stack(torch.meshgrid(*axes, indexing='ij')).flatten(1)
    offset = position[:, :, None] - position[:, None, :] + torch.tensor(window_size)[:, None, None] - 1
    d, h, w = offset
    return (d * (2 * window_size[1] - 1) + h) * (2 * window_size[2] - 1) + w
