"""The implicit warp with its projections and sinusoidal positions (IA-RT, arXiv 2305.00163)."""

import math

import torch
from torch import Tensor, nn

from gsm_plugin.ops import implicit_warp
from gsm_plugin.ops.flow import pixel_grid

_TEMPERATURE = 0.01
_EPSILON = 1e-6


class ImplicitWarp(nn.Module):
    """Aligns frames to a target: each of its pixels attends to the 2x2 pixels around the place its flow points to.

    Args:
        dim: Channels, a multiple of 4 and of `num_heads`.
        num_heads: Number of heads.
        backend: Backend of the op.
    """

    def __init__(self, dim: int, num_heads: int, backend: str = 'auto') -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f'The implicit warp got {dim} channels; sine and cosine of x and y need a multiple of 4.')
        self.num_heads, self.backend = num_heads, backend
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        cell = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        self.register_buffer('window_idx_offset', cell)
        position = _encode(*(cell / (1 + _EPSILON) * (2 * math.pi)).unbind(-1), dim)
        self.register_buffer('position_bias', position[None])

    def forward(self, frames: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        """Warps frames.

        Args:
            frames: What is moved, (n, h, w, dim).
            target: What it is moved to, (n, h, w, dim).
            flow: From the target's grid into the frames, (n, 2, h, w), pixels, x then y.

        Returns:
            (n, h, w, dim).
        """
        query = self.q(target + self._fraction(flow, target))
        cell = self.position_bias[0]
        # k and v are linear, so each source pixel is projected once and the positions are projected apart.
        key_position, value_position = cell @ self.k.weight.t(), cell @ self.v.weight.t()
        return implicit_warp(
            query, self.k(frames), self.v(frames), flow, key_position, value_position, self.num_heads, self.backend
        )

    def _fraction(self, flow: Tensor, target: Tensor) -> Tensor:
        """Encodes where in its cell each pixel lands, (n, h, w, dim)."""
        place = pixel_grid(flow) + flow
        x, y = ((place - place.floor()) / (2 + _EPSILON) * (2 * math.pi)).unbind(1)
        return _encode(y, x, target.shape[-1])


def _encode(y: Tensor, x: Tensor, dim: int) -> Tensor:
    """Interleaves sine and cosine, of y in the first half of the channels, of x in the second: (...) -> (..., c)."""
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32, device=y.device)
    # float32 as published; in double precision the frequencies would differ in the eighth digit
    scale = _TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode='floor') / half)
    angles = torch.cat((y[..., None] / scale, x[..., None] / scale), -1)
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), -1).flatten(-2)
