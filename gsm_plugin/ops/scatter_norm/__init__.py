"""Scatter in inference: flow warp, residual sum over the frames themselves, and the layer norm of the sum."""

from gsm_plugin.ops.scatter_norm.interface import SumAndNorm, scatter_norm

__all__ = ['SumAndNorm', 'scatter_norm']
