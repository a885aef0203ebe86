"""Output frames from features without gradients: the last two convolutions' ends are one op."""

from torch import Tensor

from gsm_plugin.layers.upsample import FrameConv, Upsample
from gsm_plugin.ops import colour_convolution, convolve_3x3, sub_pixel_convolution, successive_convolutions
from gsm_plugin.switches import split_products


def upsample_onto(images: Tensor, upsample: Upsample, x: Tensor, to_colours: FrameConv) -> Tensor:
    """Computes `images + to_colours(upsample(x))`.

    Args:
        images: (n, colours, h * scale, w * scale).
        upsample: What enlarges features.
        x: Features, (n, dim, h, w).
        to_colours: What makes colours of features.

    Returns:
        As large as the images.
    """
    *steps, last = (conv for conv in upsample.children() if isinstance(conv, FrameConv))
    if by_one_op(x):
        for conv, factor in zip(steps, upsample.factors, strict=True):
            x = convolve_frames(conv, x, factor, 0.1)
        inner, outer = last.weight.squeeze(2), to_colours.weight.squeeze(2)
        return successive_convolutions(x, inner, last.bias, outer, to_colours.bias, images)
    for conv, factor in zip(steps, upsample.factors, strict=True):
        x = conv(x, factor, slope=0.1)
    convolved = convolve_3x3(x, last.weight.squeeze(2))
    return colour_convolution(convolved, last.bias, to_colours.weight.squeeze(2), to_colours.bias, images)


def by_one_op(x: Tensor) -> bool:
    """Whether a convolution with what follows it is one op: on a CPU, and where products are split."""
    return x.is_cpu or split_products.products.is_on()


def convolve_frames(conv: FrameConv, x: Tensor, factor: int = 1, slope: float = 1.0) -> Tensor:
    """What the layer gives for x, by one op."""
    return sub_pixel_convolution(x, conv.weight.squeeze(2), conv.bias, factor, slope)
