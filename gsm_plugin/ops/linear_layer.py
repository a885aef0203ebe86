"""A linear layer in training, with its bias's gradient summed in two steps."""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Parts of the rows that are summed at a time, if they can be divided so.
_PARTS = 128


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiplies rows by a matrix and adds a bias.

    With gradients on a GPU, that of the bias is summed in two steps, in float32 at least. PyTorch sums the columns of a
    high matrix in one, which leaves most of a GPU idle.

    Args:
        x: (..., c).
        weight: (m, c).
        bias: (m,).

    Returns:
        (..., m), under autocast of its type.
    """
    if not (x.is_cuda and torch.is_grad_enabled()):
        return F.linear(x, weight, bias)
    return WithBias.apply(F.linear(x, weight, bias.detach()), bias)


class WithBias(torch.autograd.Function):
    """`apply(output, bias)`: the output as it is, to which a bias was added that autograd knows nothing of."""

    @staticmethod
    def forward(ctx, output: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = bias.dtype
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        return grad, _column_sums(grad).to(ctx.dtype) if ctx.needs_input_grad[1] else None


def _column_sums(x: Tensor) -> Tensor:
    """Sums over all axes but the last."""
    columns = x.shape[-1]
    rows = math.prod(x.shape[:-1])
    parts = math.gcd(rows, _PARTS)
    dtype = torch.promote_types(x.dtype, torch.float32)
    return x.reshape(parts, rows // parts, columns).sum(1, dtype=dtype).sum(0)
