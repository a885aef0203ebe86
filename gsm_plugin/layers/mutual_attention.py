"""Temporal mutual self-attention: attention between two frames beside that within both (VRT, arXiv 2201.12288)."""

import math

import torch
from einops import rearrange
from torch import Tensor

from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.window_attention import Size3d, WindowAttention
from gsm_plugin.ops import pad_to_windows, sinusoids, window_attention

_TEMPERATURE = 10000


class MutualWindowAttention(WindowAttention):
    """In windows of two frames, self-attention over both, and mutual attention between one and the other.

    In the place of each frame stand what the other's queries find in its keys and values, which aligns it to the other
    implicitly, and the result of the self-attention; both are projected together. A clip needs two frames; of an odd
    number, the last one is paired with padding.

    Args:
        dim: Channels, a multiple of `num_heads` and of 4.
        window_size: See `WindowAttention`; its depth is 2.
        shift_size: See `WindowAttention`.
        num_heads: Number of heads.
        backend: Backend of the op.
        qkv_bias: Whether query, key and value have a bias.

    Raises:
        ValueError: The channels are no multiple of 4.
    """

    position_bias: Tensor

    def __init__(
        self,
        dim: int,
        window_size: Size3d,
        shift_size: Size3d,
        num_heads: int,
        backend: str = 'auto',
        qkv_bias: bool = False,
    ) -> None:
        super().__init__(dim, window_size, shift_size, num_heads, backend, qkv_bias)
        if dim % 4:
            raise ValueError(f'Mutual attention got {dim} channels; sine and cosine of x and y need a multiple of 4.')
        self.num_heads = num_heads
        self.register_buffer('position_bias', _positions(*window_size[1:], dim).flatten(0, 1)[None])
        self.qkv_mut = Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = Linear(2 * dim, dim)

    def attend(self, x: Tensor) -> Tensor:
        """See `WindowAttention`; t > 1, and both results are side by side."""
        return torch.cat((self.attend_mutually(x), super().attend(x)), -1)

    def attend_mutually(self, x: Tensor) -> Tensor:
        """What queries of each frame find in the other frame of its pair, (b, t, h, w, dim) -> the same."""
        t, h, w = x.shape[1:4]
        window, shift = self.fit((t, h, w))
        qkv = self.qkv_mut(self._add_positions(pad_to_windows(x, window), window, shift))
        qkv = torch.roll(qkv, -shift[0], 1)
        query, key_value = qkv.split((x.shape[-1], 2 * x.shape[-1]), -1)
        # With the queries of each pair exchanged, mutual attention is attention within frames.
        query = query.unflatten(1, (-1, 2)).flip(2).flatten(1, 2)
        tokens = window[1] * window[2]
        no_bias = x.new_zeros(self.num_heads, tokens, tokens)
        exchanged = torch.cat((query, key_value), -1)
        output = window_attention(exchanged, no_bias, (1, *window[1:]), (0, *shift[1:]), self.backend)
        return torch.roll(output, shift[0], 1)[:, :t, :h, :w]

    def _add_positions(self, x: Tensor, window: Size3d, shift: Size3d) -> Tensor:
        """Adds to each token of whole windows (b, t, h, w, dim) the code of its place in its shifted window."""
        place = self.position_bias.view(*self.window_size[1:], -1)[: window[1], : window[2]]
        place = place.roll(shift[1:], (0, 1))
        tiled = rearrange(x, 'b t (nh wh) (nw ww) c -> b t nh nw wh ww c', wh=window[1], ww=window[2])
        return rearrange(tiled + place, 'b t nh nw wh ww c -> b t (nh wh) (nw ww) c')


def _positions(height: int, width: int, dim: int) -> Tensor:
    """Codes of the places in a window, (height, width, dim)."""
    axes = []
    for size in (height, width):
        place = torch.arange(1, size + 1, dtype=torch.float32)
        axes.append(place / (place[-1:] + sinusoids.EPSILON) * (2 * math.pi))
    y, x = torch.meshgrid(*axes, indexing='ij')
    return sinusoids.encode(y, x, dim, _TEMPERATURE)
