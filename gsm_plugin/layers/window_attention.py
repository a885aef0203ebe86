"""Shifted-window attention within frames and their neighbours (Swin, arXiv 2103.14030; VRT, arXiv 2201.12288)."""

import torch
from torch import Tensor, nn

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.mlp import GatedMlp
from gsm_plugin.ops import window_attention

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
    """

    def __init__(self, dim: int, window_size: Size3d, shift_size: Size3d, num_heads: int, backend: str = 'auto'):
        super().__init__()
        self.window_size, self.shift_size, self.backend = window_size, shift_size, backend
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * window_size[0] - 1) * (2 * window_size[1] - 1) * (2 * window_size[2] - 1), num_heads)
        )
        self.register_buffer('relative_position_index', relative_position_index(window_size))
        self.qkv_self = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        shrunk = [side <= size for side, size in zip(x.shape[1:4], self.window_size, strict=True)]
        window = tuple(min(side, size) for side, size in zip(x.shape[1:4], self.window_size, strict=True))
        shift = tuple(0 if small else value for small, value in zip(shrunk, self.shift_size, strict=True))
        # No bias in this projection: the zero tokens that pad the windows stay zero, and need not be projected.
        qkv = self.qkv_self(x)
        return self.proj(window_attention(qkv, self._bias(window), window, shift, self.backend))

    def _bias(self, window: Size3d) -> Tensor:
        # As published, the index of a shrunk window is the corner of the full one, not recomputed for its shape.
        tokens = window[0] * window[1] * window[2]
        index = self.relative_position_index[:tokens, :tokens]
        return self.relative_position_bias_table[index].permute(2, 0, 1)


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
    """

    def __init__(
        self,
        dim: int,
        window_size: Size3d,
        shift_size: Size3d,
        num_heads: int,
        mlp_ratio: int = 2,
        recompute_attn: bool = False,
        recompute_ffn: bool = False,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.recompute_attn, self.recompute_ffn = recompute_attn, recompute_ffn
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window_size, shift_size, num_heads, backend)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = GatedMlp(dim, mlp_ratio * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        x = x + checkpointing.run(lambda y: self.attn(self.norm1(y)), x, recompute=self.recompute_attn)
        return x + checkpointing.run(lambda y: self.mlp(self.norm2(y)), x, recompute=self.recompute_ffn)


class AttentionGroup(nn.Module):
    """A sequence of attention blocks, the windows of every second one shifted by half a window in space.

    Args:
        dim: Channels.
        depth: Number of blocks.
        num_heads: Number of heads.
        window_size: See `WindowAttention`.
        **block_options: Passed to every `AttentionBlock`.
    """

    def __init__(self, dim: int, depth: int, num_heads: int, window_size: Size3d = (2, 8, 8), **block_options) -> None:
        super().__init__()
        shifted = tuple(size // 2 for size in window_size)
        self.blocks = nn.ModuleList(
            AttentionBlock(dim, window_size, shifted if i % 2 else (0, 0, 0), num_heads, **block_options)
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        for block in self.blocks:
            x = block(x)
        return x


def relative_position_index(window_size: Size3d) -> Tensor:
    """The row of the bias table for every pair of tokens of a window of that depth, height and width, (n, n)."""
    axes = [torch.arange(size) for size in window_size]
    position = torch.stack(torch.meshgrid(*axes, indexing='ij')).flatten(1)
    offset = position[:, :, None] - position[:, None, :] + torch.tensor(window_size)[:, None, None] - 1
    d, h, w = offset
    return (d * (2 * window_size[1] - 1) + h) * (2 * window_size[2] - 1) + w
