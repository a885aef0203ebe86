"""The implicit warp in plain PyTorch, one pixel of the cell after another; the backward pass gathers again."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._common.grid import places


def implicit_warp_torch(*arguments) -> Tensor:
    """Computes `implicit_warp`, arguments and result as described there; see `implicit_warp_by`."""
    return implicit_warp_by(_attend, *arguments)


def implicit_warp_by(
    attend: Callable[..., tuple[Tensor, Tensor]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    flow: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
) -> Tensor:
    """Computes `implicit_warp` by a function that attends, such as `_attend`.

    The four keys and values of a pixel are never in memory together and none is kept for the backward pass, only
    their weights, (n * h * w, 4, heads). Half precision is computed in float32.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    query_, key_, value_, *positions = (x.to(dtype) for x in (query, key, value, key_position, value_position))
    return _ImplicitWarp.apply(attend, query_, key_, value_, flow, *positions, num_heads).to(query.dtype)


class _ImplicitWarp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attend, query, key, value, flow, key_position, value_position, num_heads):
        shape = query.shape
        q, k, v = (x.reshape(-1, shape[-1]) for x in (query, key, value))
        index = _cell_indices(flow)
        output, weights = attend(q, k, v, index, key_position, value_position, num_heads)
        ctx.save_for_backward(q, k, v, index, weights, key_position, value_position)
        ctx.num_heads, ctx.shape = num_heads, shape
        return output.view(shape)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        q, k, v, index, weights, key_position, value_position = ctx.saved_tensors
        grad = grad_output.reshape(q.shape)
        grad_weights = torch.stack(
            [_plain_dot(grad, v[index[j]] + value_position[j], ctx.num_heads) for j in range(4)], 1
        )
        grad_logits = weights * (grad_weights - (weights * grad_weights).sum(1, keepdim=True))
        grad_logits *= (q.shape[1] // ctx.num_heads) ** -0.5
        grad_q, grad_k, grad_v = (torch.zeros_like(x) for x in (q, k, v))
        grad_key_position, grad_value_position = torch.zeros_like(key_position), torch.zeros_like(value_position)
        for j in range(4):
            grad_q += _scaled(k[index[j]] + key_position[j], grad_logits[:, j])
            for total, position, part in (
                (grad_k, grad_key_position, _scaled(q, grad_logits[:, j])),
                (grad_v, grad_value_position, _scaled(grad, weights[:, j])),
            ):
                total.index_add_(0, index[j], part)
                position[j] = part.sum(0)
        grads = (x.view(ctx.shape) for x in (grad_q, grad_k, grad_v))
        return None, *grads, None, grad_key_position, grad_value_position, None


def _attend(
    q: Tensor, k: Tensor, v: Tensor, index: Tensor, key_position: Tensor, value_position: Tensor, num_heads: int
) -> tuple[Tensor, Tensor]:
    """Attends to the cells whose rows are given, (4, p): (p, c) three times -> (p, c), and weights (p, 4, heads)."""
    logits = [_dot(q, k[index[j]] + key_position[j], num_heads) for j in range(4)]
    weights = torch.stack(logits, 1).softmax(1)
    output = torch.zeros_like(v)
    for j in range(4):
        output += _scaled(v[index[j]] + value_position[j], weights[:, j])
    return output, weights


def _cell_indices(flow: Tensor) -> Tensor:
    """Rows of the flattened images (n * h * w) that hold the four pixels of each cell, (4, n * h * w)."""
    n, _, h, w = flow.shape
    corner = places(flow).floor().long()
    x = torch.stack((corner[:, 0], corner[:, 0] + 1)).clamp_(0, w - 1)
    y = torch.stack((corner[:, 1], corner[:, 1] + 1)).clamp_(0, h - 1)
    image = torch.arange(n, device=flow.device)[:, None, None] * (h * w)
    return (image + y[:, None] * w + x[None]).view(4, -1)


def _plain_dot(a: Tensor, b: Tensor, num_heads: int) -> Tensor:
    """Dot product of each head: (p, c), (p, c) -> (p, heads)."""
    return (a * b).unflatten(1, (num_heads, -1)).sum(-1)


def _dot(q: Tensor, k: Tensor, num_heads: int) -> Tensor:
    return _plain_dot(q, k, num_heads) * (q.shape[1] // num_heads) ** -0.5


def _scaled(x: Tensor, weights: Tensor) -> Tensor:
    """Multiplies the channels of each head by its weight: (p, c), (p, heads) -> (p, c)."""
    return (x.unflatten(1, (weights.shape[1], -1)) * weights[:, :, None]).flatten(1)
