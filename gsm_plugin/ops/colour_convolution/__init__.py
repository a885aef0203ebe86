"""The last convolution in inference: from features without their bias to colours, added to images."""

from gsm_plugin.ops.colour_convolution.interface import colour_convolution

__all__ = ['colour_convolution']
