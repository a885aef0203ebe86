"""Depthwise 3x3x3 convolution of channels-last volumes, followed by GELU."""
