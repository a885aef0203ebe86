"""The implicit warp as it is defined, with the four keys and values of every pixel in memory: the reference."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places


def implicit_warp_naive(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    flow: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
) -> Tensor:
    """Computes `implicit_warp`, arguments and result as described there."""
    n, h, w, _ = query.shape
    corner = places(flow).floor().long()
    image = torch.arange(n, device=flow.device)[:, None, None]
    keys, values = [], []
    for cell, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        y = (corner[:, 1] + row).clamp(0, h - 1)
        x = (corner[:, 0] + column).clamp(0, w - 1)
        keys.append(key[image, y, x] + key_position[cell])
        values.append(value[image, y, x] + value_position[cell])
    q = query.unflatten(-1, (num_heads, -1))
    k, v = (torch.stack(x, 3).unflatten(-1, (num_heads, -1)) for x in (keys, values))
    logits = (q[:, :, :, None] * k).sum(-1, keepdim=True) * q.shape[-1] ** -0.5
    return (logits.softmax(3) * v).sum(3).flatten(-2)
