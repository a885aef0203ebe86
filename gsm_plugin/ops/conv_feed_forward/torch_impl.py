"""The feed-forward network of a window by products of matrices and the fastest depthwise convolution."""

from torch import Tensor

from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward
from gsm_plugin.ops.depthwise_conv_gelu.interface import depthwise_conv_gelu
from gsm_plugin.ops.linear.interface import linear


def conv_feed_forward_torch(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> Tensor:
    """Computes `conv_feed_forward`, arguments and result as described there; the last product adds."""
    inner, inner_bias, taps, taps_bias, out = parameters
    hidden = depthwise_conv_gelu(linear(x, inner, inner_bias), taps, taps_bias)[:, wanted]
    for clip, addend in zip(total, hidden, strict=True):
        linear(addend, out, onto=clip)
    return total
