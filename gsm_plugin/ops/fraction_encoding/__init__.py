"""Adds to features where within a pixel a flow leads."""

from gsm_plugin.ops.fraction_encoding.interface import fraction_encoding

__all__ = ['fraction_encoding']
