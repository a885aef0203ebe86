"""Warping by attention over the four pixels around the place that a flow points to."""

from gsm_plugin.ops.implicit_warp.interface import implicit_warp

__all__ = ['implicit_warp']
