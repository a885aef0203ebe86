"""Multi-head attention in shifted 3D windows."""

from gsm_plugin.ops.window_attention.interface import window_attention

__all__ = ['window_attention']
