"""Layer norm, of what is given or of a residual sum that is made on the way, and that sum alone."""

from gsm_plugin.ops.residual_norm.interface import layer_norm, residual_layer_norm, residual_sum

__all__ = ['layer_norm', 'residual_layer_norm', 'residual_sum']
