"""Bilinear warping by optical flow."""

from gsm_plugin.ops.flow_warp.interface import flow_warp

__all__ = ['flow_warp']
