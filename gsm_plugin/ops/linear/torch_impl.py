"""A linear layer by PyTorch's own, with gradients of its own on a GPU."""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gsm_plugin.switches import tf32

# Parts of the rows that are summed at a time, if they can be divided so.
_PARTS = 128


def linear_torch(x: Tensor, weight: Tensor, bias: Tensor | None, onto: Tensor | None) -> Tensor:
    """Computes `linear`, arguments and result as described there."""
    if onto is not None:
        total = onto if bias is None else onto.add_(bias)
        total.view(-1, len(weight)).addmm_(x.reshape(-1, x.shape[-1]), weight.t())
        return onto
    if not (x.is_cuda and torch.is_grad_enabled()):
        return F.linear(x, weight, bias)
    multiply = ByTf32.apply if _multiplies_by_tf32(x) else F.linear
    if bias is None:
        return multiply(x, weight, None)
    return WithBias.apply(multiply(x, weight, bias.detach()), bias)


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


class ByTf32(torch.autograd.Function):
    """`apply(x, weight, bias)`: a linear layer whose gradients are products by TF32; the bias gets none."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, _ = ctx.needs_input_grad
        # autocast may be on here, though it was off before
        with torch.autocast(grad.device.type, enabled=False), tf32.products.turned(True):
            grad_x = grad @ weight if of_x else None
            grad_weight = grad.reshape(-1, len(weight)).t() @ x.reshape(-1, x.shape[-1]) if of_weight else None
        return grad_x, grad_weight, None


def _multiplies_by_tf32(x: Tensor) -> bool:
    return x.dtype == torch.float32 and tf32.products.is_on() and not torch.is_autocast_enabled(x.device.type)


def _column_sums(x: Tensor) -> Tensor:
    """Sums over all axes but the last."""
    columns = x.shape[-1]
    rows = math.prod(x.shape[:-1])
    parts = math.gcd(rows, _PARTS)
    dtype = torch.promote_types(x.dtype, torch.float32)
    return x.reshape(parts, rows // parts, columns).sum(1, dtype=dtype).sum(0)
