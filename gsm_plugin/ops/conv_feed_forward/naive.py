"""The feed-forward network of a window by the definitions of its parts: the reference."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward
from gsm_plugin.ops.depthwise_conv_gelu.naive import depthwise_conv_gelu_naive


def conv_feed_forward_naive(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> Tensor:
    """Computes `conv_feed_forward`, arguments and result as described there."""
    inner, inner_bias, taps, taps_bias, out = parameters
    hidden = depthwise_conv_gelu_naive(F.linear(x, inner, inner_bias), taps, taps_bias)
    return total.add_(F.linear(hidden[:, wanted], out))
