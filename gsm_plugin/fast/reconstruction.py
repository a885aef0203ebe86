"""Output frames from features without gradients: the last two convolutions' ends are one op."""

from torch import Tensor

from gsm_plugin.layers.upsample import FrameConv, Upsample
from gsm_plugin.ops import colour_convolution, convolve_3x3


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
    for conv, factor in zip(steps, upsample.factors, strict=True):
        x = conv(x, factor, slope=0.1)
    convolved = convolve_3x3(x, last.weight.squeeze(2))
    return colour_convolution(convolved, last.bias, to_colours.weight.squeeze(2), to_colours.bias, images)
