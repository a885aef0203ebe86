"""What follows the heads of an attention block: projection, residual sum, layer norm, GEGLU, residual sum."""

from gsm_plugin.ops.gated_feed_forward.interface import FeedForward, gated_feed_forward

__all__ = ['FeedForward', 'gated_feed_forward']
