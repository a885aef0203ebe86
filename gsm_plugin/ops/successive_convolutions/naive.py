"""Two convolutions by their definition, one after the other: the reference."""

from torch import Tensor

from gsm_plugin.ops.sub_pixel_convolution.naive import sub_pixel_convolution_naive


def successive_convolutions_naive(
    x: Tensor, inner_weight: Tensor, inner_bias: Tensor, weight: Tensor, bias: Tensor, images: Tensor
) -> Tensor:
    """Computes `successive_convolutions`, arguments and result as described there."""
    inner = sub_pixel_convolution_naive(x, inner_weight, inner_bias, 1, 1.0)
    return images + sub_pixel_convolution_naive(inner, weight, bias, 1, 1.0)
