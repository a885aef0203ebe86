"""The implicit warp with its projections and sinusoidal positions (IA-RT, arXiv 2305.00163)."""

import math

import torch
from torch import Tensor, nn

from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.precision import precision_of_products, training_policy
from gsm_plugin.layers.sharing import shared
from gsm_plugin.ops import fraction_encoding, implicit_warp, linear, sinusoids


class ImplicitWarp(nn.Module):
    """Aligns frames to a target: each of its pixels attends to the 2x2 pixels around the place its flow points to.

    With p that place, f its fraction of a pixel and j the four pixels: the query is `q(target + PE(f))`, keys and
    values are `k(frame_j + PE_j)` and `v(frame_j + PE_j)`; there is a softmax over j in each head.

    Args:
        dim: Channels, a multiple of 4 and of `num_heads`.
        num_heads: Number of heads.
        backend: Backend of the ops.
    """

    position_bias: Tensor

    def __init__(self, dim: int, num_heads: int, backend: str = 'auto') -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f'The implicit warp got {dim} channels; sine and cosine of x and y need a multiple of 4.')
        self.num_heads, self.backend = num_heads, backend
        self.q = Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        cell = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        self.register_buffer('window_idx_offset', cell)
        y, x = (cell / (1 + sinusoids.EPSILON) * (2 * math.pi)).unbind(-1)
        position = sinusoids.encode(y, x, dim)
        self.register_buffer('position_bias', position[None])

    def forward(self, frames: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        """Warps frames.

        Args:
            frames: What is moved, (n, h, w, dim).
            target: What it is moved to, (m, h, w, dim); each target is that of n / m frames that follow one another.
            flow: From the target's grid into the frames, (n, 2, h, w), pixels, x then y.

        Returns:
            (n, h, w, dim).
        """
        weight, bias, key_position, value_position = shared(self.key_and_value)
        with training_policy(frames).gather.on(frames):
            query = self.q(fraction_encoding(target, flow, precision_of_products(target), self.backend))
            key, value = linear(frames, weight, bias).chunk(2, -1)
            return implicit_warp(query, key, value, flow, key_position, value_position, self.num_heads, self.backend)

    def key_and_value(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """k and v side by side: weight (2 dim, dim), bias (2 dim,); and what each makes of PE_j, both (4, dim).

        They are linear, so a pixel is projected once for all cells that it is in, and PE_j apart.
        """
        weight = torch.cat((self.k.weight, self.v.weight))
        bias = torch.cat((self.k.bias, self.v.bias))
        position = self.position_bias[0]
        with training_policy(position).ends.on(position):
            return weight, bias, position @ self.k.weight.t(), position @ self.v.weight.t()
