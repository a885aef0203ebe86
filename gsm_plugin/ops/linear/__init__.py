"""A linear layer in training."""

from gsm_plugin.ops.linear.interface import linear

__all__ = ['linear']
