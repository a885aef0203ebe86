"""Flows between the anchor and every frame of every temporal window."""

from gsm_plugin.ops.compose_window_flows.interface import COMPOSITIONS, compose_window_flows

__all__ = ['COMPOSITIONS', 'compose_window_flows']
