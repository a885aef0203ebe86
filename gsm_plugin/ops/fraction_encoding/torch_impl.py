"""The encoding of fractions in plain PyTorch; the backward pass computes the angles again."""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gsm_plugin.ops._common.grid import FAR, places
from gsm_plugin.ops._common.sinusoids import EPSILON, encode, wavelengths


def fraction_encoding_torch(target: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `fraction_encoding`, arguments and result as described there."""
    return _FractionEncoding.apply(target, flow, dtype)


class _FractionEncoding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, target, flow, dtype):
        ctx.save_for_backward(flow)
        ctx.target_shape, ctx.target_dtype = target.shape, target.dtype
        encoding = encode(*_angles(flow), target.shape[3])
        sums = target[:, None] + encoding.unflatten(0, (len(target), -1))
        return sums.flatten(0, 1).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        (flow,) = ctx.saved_tensors
        channels = ctx.target_shape[3]
        precision = torch.promote_types(grad_output.dtype, flow.dtype)
        grad = grad_output.to(precision)
        grad_target = grad.unflatten(0, (ctx.target_shape[0], -1)).sum(1).to(ctx.target_dtype)
        encoding = encode(*_angles(flow), channels).unflatten(-1, (-1, 2))
        # the derivative of (sin, cos) is (cos, -sin)
        slope = torch.stack((encoding[..., 1], -encoding[..., 0]), -1).flatten(-2).unflatten(-1, (2, -1))
        slope = slope / wavelengths(channels, flow.device)
        grad_angles = (grad.unflatten(-1, (2, -1)) * slope).sum(-1)
        grad_flow = grad_angles.flip(-1).movedim(-1, 1) / (2 + EPSILON) * (2 * math.pi)
        near = places(flow).abs() < FAR
        return grad_target, torch.where(near, grad_flow, 0).to(flow.dtype), None


def _angles(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where pixels land within a pixel, as angles in y and in x."""
    place = places(flow)
    x, y = ((place - place.floor()) / (2 + EPSILON) * (2 * math.pi)).unbind(1)
    return y, x
