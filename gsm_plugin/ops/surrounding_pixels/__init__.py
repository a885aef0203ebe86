"""The four pixels around the places that a flow points to."""

from gsm_plugin.ops.surrounding_pixels.interface import surrounding_pixels

__all__ = ['surrounding_pixels']
