"""The feed-forward network of a window in inference, added to its frames."""

from gsm_plugin.ops.conv_feed_forward.interface import ConvFeedForward, conv_feed_forward

__all__ = ['ConvFeedForward', 'conv_feed_forward']
