"""Sub-pixel convolution by PyTorch's convolution, and the fastest backend of what follows."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.shuffle_leaky_relu.interface import shuffle_leaky_relu


def sub_pixel_convolution_torch(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    padding = weight.shape[-1] // 2
    if factor == 1 and slope in (0, 1):
        output = F.conv2d(x, weight, bias, padding=padding)
        return output if slope else output.relu_()
    output = shuffle_leaky_relu(F.conv2d(x, weight, padding=padding), bias, factor, slope or 1.0)
    return output if slope else output.relu_()
