"""Depthwise 3x3x3 convolution of channels-last volumes, followed by GELU."""

from gsm_plugin.ops.depthwise_conv_gelu.interface import depthwise_conv_gelu

__all__ = ['depthwise_conv_gelu']
