"""Sub-pixel convolution by the definitions of its parts: the reference."""

from torch import Tensor

from gsm_plugin.ops.convolve_3x3.naive import convolve_3x3_naive
from gsm_plugin.ops.shuffle_leaky_relu.naive import shuffle_leaky_relu_naive


def sub_pixel_convolution_naive(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    return shuffle_leaky_relu_naive(convolve_3x3_naive(x, weight), bias, factor, slope)
