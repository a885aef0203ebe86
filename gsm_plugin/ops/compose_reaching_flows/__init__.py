"""Flows to the next frame, the next but one, and so on."""

from gsm_plugin.ops.compose_reaching_flows.interface import compose_reaching_flows

__all__ = ['compose_reaching_flows']
