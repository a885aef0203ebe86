"""A linear layer: faster gradients in training, split products in inference in float32."""

from gsm_plugin.ops.linear.interface import linear

__all__ = ['linear']
