"""The implicit warp with its projections and sinusoidal positions (IA-RT, arXiv 2305.00163)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.precision import autocast_as_kept, precision_of_products
from gsm_plugin.ops import fraction_encoding, implicit_warp
from gsm_plugin.ops.fraction_encoding.sinusoids import EPSILON, encode


class CellProjections(NamedTuple):
    """What projects pixels to keys and values, (2 dim, dim) and (2 dim,), and the four positions, each (4, dim)."""

    weight: Tensor
    bias: Tensor
    key_position: Tensor
    value_position: Tensor


class ImplicitWarp(nn.Module):
    """Aligns frames to a target: each of its pixels attends to the 2x2 pixels around the place its flow points to.

    Args:
        dim: Channels, a multiple of 4 and of `num_heads`.
        num_heads: Number of heads.
        backend: Backend of the ops.
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
        position = encode(*(cell / (1 + EPSILON) * (2 * math.pi)).unbind(-1), dim)
        self.register_buffer('position_bias', position[None])

    def projections(self) -> CellProjections:
        """Weights of k and v side by side, and what they make of the positions in a cell."""
        cell = self.position_bias[0]
        # k and v are linear, so each source pixel is projected once and the positions are projected apart.
        return CellProjections(
            torch.cat((self.k.weight, self.v.weight)),
            torch.cat((self.k.bias, self.v.bias)),
            cell @ self.k.weight.t(),
            cell @ self.v.weight.t(),
        )

    def forward(
        self, frames: Tensor, target: Tensor, flow: Tensor, projections: CellProjections | None = None
    ) -> Tensor:
        """Warps frames.

        Args:
            frames: What is moved, (n, h, w, dim).
            target: What it is moved to, (m, h, w, dim); each target is that of n / m frames that follow one another.
            flow: From the target's grid into the frames, (n, 2, h, w), pixels, x then y.
            projections: Result of `projections()`, for callers that warp often.

        Returns:
            (n, h, w, dim).
        """
        weight, bias, key_position, value_position = self.projections() if projections is None else projections
        with autocast_as_kept(frames):
            query = self.q(fraction_encoding(target, flow, precision_of_products(target), self.backend))
            key, value = F.linear(frames, weight, bias).chunk(2, -1)
        return implicit_warp(query, key, value, flow, key_position, value_position, self.num_heads, self.backend)
