"""A convolution with what follows it: bias, pixel shuffle and LeakyReLU."""

from gsm_plugin.ops.sub_pixel_convolution.interface import sub_pixel_convolution

__all__ = ['sub_pixel_convolution']
