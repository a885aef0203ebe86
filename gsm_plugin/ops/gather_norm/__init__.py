"""Gather in inference: the implicit warp and the layer norm of its result, frame by frame at each pixel."""

from gsm_plugin.ops.gather_norm.interface import Cells, gather_norm

__all__ = ['Cells', 'gather_norm']
