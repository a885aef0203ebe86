"""What follows a convolution that enlarges: its bias, the pixel shuffle, a LeakyReLU."""

from gsm_plugin.ops.shuffle_leaky_relu.interface import shuffle_leaky_relu

__all__ = ['shuffle_leaky_relu']
