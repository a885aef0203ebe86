"""Pure tensor functions. Each op has a naive version, the reference, and faster ones that are held to it."""

from gsm_plugin.ops._common import grid, scratch, sinusoids
from gsm_plugin.ops._common.padding import extend_by_reflection
from gsm_plugin.ops.bidirectional_scan import ScanParameters, bidirectional_scan
from gsm_plugin.ops.colour_convolution import colour_convolution
from gsm_plugin.ops.compose_reaching_flows import compose_reaching_flows
from gsm_plugin.ops.compose_window_flows import COMPOSITIONS, compose_window_flows
from gsm_plugin.ops.conv_feed_forward import ConvFeedForward, conv_feed_forward
from gsm_plugin.ops.convolve_3x3 import convolve_3x3
from gsm_plugin.ops.depthwise_conv_gelu import depthwise_conv_gelu
from gsm_plugin.ops.dispatch import describe_backends, summarize_backends
from gsm_plugin.ops.encoded_query import encoded_query
from gsm_plugin.ops.flow_warp import flow_warp
from gsm_plugin.ops.fraction_encoding import fraction_encoding
from gsm_plugin.ops.gated_feed_forward import FeedForward, gated_feed_forward
from gsm_plugin.ops.gated_gelu import gated_gelu
from gsm_plugin.ops.gather_norm import Cells, gather_norm
from gsm_plugin.ops.implicit_warp import implicit_warp
from gsm_plugin.ops.linear import linear
from gsm_plugin.ops.mamba_mixer import mamba_mixer
from gsm_plugin.ops.residual_norm import layer_norm, residual_layer_norm, residual_sum
from gsm_plugin.ops.scatter_norm import SumAndNorm, scatter_norm
from gsm_plugin.ops.selective_scan import selective_scan
from gsm_plugin.ops.shuffle_leaky_relu import shuffle_leaky_relu
from gsm_plugin.ops.sub_pixel_convolution import sub_pixel_convolution
from gsm_plugin.ops.successive_convolutions import successive_convolutions
from gsm_plugin.ops.surrounding_pixels import surrounding_pixels
from gsm_plugin.ops.window_attention import window_attention
from gsm_plugin.ops.window_attention.naive import pad_to_windows

__all__ = [
    'COMPOSITIONS',
    'Cells',
    'ConvFeedForward',
    'FeedForward',
    'ScanParameters',
    'SumAndNorm',
    'bidirectional_scan',
    'colour_convolution',
    'compose_reaching_flows',
    'compose_window_flows',
    'conv_feed_forward',
    'convolve_3x3',
    'depthwise_conv_gelu',
    'describe_backends',
    'encoded_query',
    'extend_by_reflection',
    'flow_warp',
    'fraction_encoding',
    'gated_feed_forward',
    'gated_gelu',
    'gather_norm',
    'grid',
    'implicit_warp',
    'layer_norm',
    'linear',
    'mamba_mixer',
    'pad_to_windows',
    'residual_layer_norm',
    'residual_sum',
    'scatter_norm',
    'scratch',
    'selective_scan',
    'shuffle_leaky_relu',
    'sinusoids',
    'sub_pixel_convolution',
    'successive_convolutions',
    'summarize_backends',
    'surrounding_pixels',
    'window_attention',
]
