"""The feed-forward network of a window by products of matrices and the fastest depthwise convolution."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward
from gsm_plugin.ops.depthwise_conv_gelu.interface import depthwise_conv_gelu


def conv_feed_forward_torch(x: Tensor, parameters: ConvFeedForward, wanted: slice, total: Tensor) -> Tensor:
    """Computes `conv_feed_forward`, arguments and result as described there; the last product adds."""
    inner, inner_bias, taps, taps_bias, out = parameters
    hidden = depthwise_conv_gelu(F.linear(x, inner, inner_bias), taps, taps_bias)[:, wanted]
    for clip, addend in zip(total, hidden, strict=True):
        clip.view(-1, clip.shape[-1]).addmm_(addend.flatten(0, -2), out.t())
    return total
