"""The implicit warp with its projections and sinusoidal positions (IA-RT, arXiv 2305.00163)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.precision import autocast_as_kept, precision_of_ends, precision_of_products, tf32_in_training
from gsm_plugin.ops import Cells, encoded_query, fraction_encoding, gather_norm, implicit_warp, linear, sinusoids


class CellProjections(NamedTuple):
    """What projects pixels to queries, and to keys and values side by side; and the four positions.

    Attributes:
        query: (dim, dim).
        query_bias: (dim,).
        key_value: (2 dim, dim).
        key_value_bias: (2 dim,).
        key_position: (4, dim).
        value_position: (4, dim).
    """

    query: Tensor
    query_bias: Tensor
    key_value: Tensor
    key_value_bias: Tensor
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
        position = sinusoids.encode(*(cell / (1 + sinusoids.EPSILON) * (2 * math.pi)).unbind(-1), dim)
        self.register_buffer('position_bias', position[None])

    def projections(self, dtype: torch.dtype | None = None) -> CellProjections:
        """Weights of q, of k and v side by side, and what they make of the positions in a cell.

        Args:
            dtype: Without gradients, the type in which pixels are projected, so that no call has to cast weights.
        """
        cell = self.position_bias[0]
        # k and v are linear, so each source pixel is projected once and the positions are projected apart.
        key_value = torch.cat((self.k.weight, self.v.weight)), torch.cat((self.k.bias, self.v.bias))
        weights = self.q.weight, self.q.bias, *key_value
        weights = weights if dtype is None else tuple(weight.to(dtype) for weight in weights)
        with precision_of_ends(cell):
            positions = cell @ self.k.weight.t(), cell @ self.v.weight.t()
        return CellProjections(*weights, *positions)

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
        projections = self.projections() if projections is None else projections
        # the flow network's gradients show most of all what is rounded here
        with tf32_in_training(frames, torch.bfloat16, torch.float16):
            with autocast_as_kept(frames):
                encoded = fraction_encoding(target, flow, precision_of_products(target), self.backend)
                query = linear(encoded, projections.query, projections.query_bias)
            return implicit_warp(*self._cells(frames, query, flow, projections), self.num_heads, self.backend)

    def normed(
        self, frames: Tensor, target: Tensor, flow: Tensor, norm: LayerNorm, projections: CellProjections | None = None
    ) -> Tensor:
        """The layer norm of what `forward` returns, without gradients: (m, h, w, n / m, dim), its type as of `norm`."""
        projections = self.projections() if projections is None else projections
        with autocast_as_kept(frames):
            query = encoded_query(
                target, flow, projections.query, projections.query_bias, precision_of_products(target), self.backend
            )
        cells, dtype = self._cells(frames, query, flow, projections), precision_of_products(frames)
        count = len(frames) // len(target)
        return gather_norm(cells, self.num_heads, count, norm.weight, norm.bias, norm.eps, dtype, self.backend)

    def _cells(self, frames: Tensor, query: Tensor, flow: Tensor, projections: CellProjections) -> Cells:
        with autocast_as_kept(frames):
            key, value = linear(frames, projections.key_value, projections.key_value_bias).chunk(2, -1)
        return Cells(query, key, value, flow, projections.key_position, projections.value_position)
