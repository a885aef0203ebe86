"""Sub-pixel convolution by PyTorch's convolution, and the fastest backend of what follows."""

from torch import Tensor

from gsm_plugin.ops.convolve_3x3.interface import convolve_3x3
from gsm_plugin.ops.shuffle_leaky_relu.interface import shuffle_leaky_relu


def sub_pixel_convolution_torch(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    return shuffle_leaky_relu(convolve_3x3(x, weight), bias, factor, slope)
