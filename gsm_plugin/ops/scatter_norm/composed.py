"""Scatter in inference put together from the flow warp and the residual norm: the law, and a form for all devices."""

import torch
from torch import Tensor

from gsm_plugin.ops.flow_warp.interface import flow_warp
from gsm_plugin.ops.residual_norm.interface import residual_layer_norm


def scatter_norm_naive(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: tuple[Tensor, ...], eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm`, arguments and result as described there, by the definitions of its parts."""
    return _composed(frames, aligned, flow, parameters, eps, dtype, 'naive')


def scatter_norm_torch(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: tuple[Tensor, ...], eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm` by PyTorch's operators."""
    return _composed(frames, aligned, flow, parameters, eps, dtype, 'torch')


def _composed(
    frames: Tensor,
    aligned: Tensor,
    flow: Tensor,
    parameters: tuple[Tensor, ...],
    eps: float,
    dtype: torch.dtype,
    backend: str,
) -> Tensor:
    scale, factor, summand, weight, bias = parameters
    carried = flow_warp(aligned.flatten(0, 1), flow.flatten(0, 1), backend).view(frames.shape)
    total, normed = residual_layer_norm(frames, carried, scale, weight, bias, eps, dtype, backend, into=frames)
    torch.add(factor * total, summand, out=frames)
    return normed
