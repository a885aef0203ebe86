"""The last convolution by PyTorch's own, and the biases by another op."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.shuffle_leaky_relu.interface import shuffle_leaky_relu


def colour_convolution_torch(x: Tensor, x_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor) -> Tensor:
    """Computes `colour_convolution`, arguments and result as described there."""
    colours = F.conv2d(shuffle_leaky_relu(x, x_bias), weight.to(x.dtype), padding=1)
    return images + shuffle_leaky_relu(colours, bias)
