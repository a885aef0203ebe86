"""Two convolutions with nothing between them, added to images, in inference."""

from gsm_plugin.ops.successive_convolutions.interface import successive_convolutions

__all__ = ['successive_convolutions']
