"""Scatter in inference by the definitions of the flow warp and of the residual norm: the reference."""

import torch
from torch import Tensor

from gsm_plugin.ops.flow_warp.interface import flow_warp
from gsm_plugin.ops.residual_norm.interface import residual_layer_norm
from gsm_plugin.ops.scatter_norm.interface import SumAndNorm


def scatter_norm_naive(
    frames: Tensor, aligned: Tensor, flow: Tensor, parameters: SumAndNorm, eps: float, dtype: torch.dtype
) -> Tensor:
    """Computes `scatter_norm`, arguments and result as described there."""
    return warp_then_sum(frames, aligned, flow, parameters, eps, dtype, 'naive')


def warp_then_sum(
    frames: Tensor,
    aligned: Tensor,
    flow: Tensor,
    parameters: SumAndNorm,
    eps: float,
    dtype: torch.dtype,
    backend: str,
) -> Tensor:
    """Computes `scatter_norm` by a backend of its parts."""
    scale, factor, summand, weight, bias = parameters
    carried = flow_warp(aligned.flatten(0, 1), flow.flatten(0, 1), backend).view(frames.shape)
    total, normed = residual_layer_norm(frames, carried, scale, weight, bias, eps, dtype, backend, into=frames)
    torch.add(factor * total, summand, out=frames)
    return normed
