"""A 3x3 convolution in training."""

from gsm_plugin.ops.convolve_3x3.interface import convolve_3x3

__all__ = ['convolve_3x3']
