"""The implicit warp without gradients: cast weights, fused ops."""

import torch
from torch import Tensor

from gsm_plugin.fast.products import product
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.precision import Policy, precision_of_products
from gsm_plugin.ops import Cells, encoded_query, fraction_encoding, gather_norm, implicit_warp, linear


class FastImplicitWarp:
    """`ImplicitWarp` with its weights in the type in which pixels are projected, so that no call has to cast them.

    Args:
        warp: The layer.
        policy: How it is computed.
        dtype: Type of the frames.
    """

    def __init__(self, warp: ImplicitWarp, policy: Policy, dtype: torch.dtype) -> None:
        self._policy, dtype = policy, policy.factors(policy.gather, dtype)
        self._num_heads, self._backend = warp.num_heads, warp.backend
        key_value = torch.cat((warp.k.weight, warp.v.weight)), torch.cat((warp.k.bias, warp.v.bias))
        weights = tuple(weight.to(dtype) for weight in (warp.q.weight, warp.q.bias, *key_value))
        self._query, self._query_bias, self._key_value, self._key_value_bias = weights
        cell = warp.position_bias[0]
        with policy.ends.on(cell):
            self._positions = cell @ warp.k.weight.t(), cell @ warp.v.weight.t()
        # every pixel that is attended to has a position, which the biases can be added to
        self._biased_positions = self._positions[0] + warp.k.bias, self._positions[1] + warp.v.bias

    def __call__(self, frames: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        """Arguments and result as those of `ImplicitWarp`."""
        with self._policy.gather.on(frames):
            encoded = fraction_encoding(target, flow, precision_of_products(target), self._backend)
            query = linear(encoded, self._query, self._query_bias)
        return implicit_warp(*self._cells(frames, query, flow), self._num_heads, self._backend)

    def normed(self, frames: Tensor, target: Tensor, flow: Tensor, norm: LayerNorm) -> Tensor:
        """The layer norm of what a call returns: (m, h, w, n / m, dim), its type as of `norm`."""
        with self._policy.gather.on(frames):
            dtype = precision_of_products(target)
            query = encoded_query(target, flow, self._query, self._query_bias, dtype, self._backend)
        cells, dtype = self._cells(frames, query, flow), precision_of_products(frames)
        count = len(frames) // len(target)
        return gather_norm(cells, self._num_heads, count, norm.weight, norm.bias, norm.eps, dtype, self._backend)

    def _cells(self, frames: Tensor, query: Tensor, flow: Tensor) -> Cells:
        with self._policy.gather.on(frames):
            if frames.is_cpu:
                # each by itself is contiguous, as the warp reads it there
                key, value = (
                    product(frames, weight, f'implicit_warp.{i}') for i, weight in enumerate(self._key_value.chunk(2))
                )
                return Cells(query, key, value, flow, *self._biased_positions)
            key, value = linear(frames, self._key_value, self._key_value_bias).chunk(2, -1)
        return Cells(query, key, value, flow, *self._positions)
