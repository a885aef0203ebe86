"""Pure tensor functions. Each op has a naive version, which is the law, and faster ones that are held to it."""

from gsm_plugin.ops._common import grid, sinusoids, tf32
from gsm_plugin.ops._common.padding import extend_by_reflection
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters, bidirectional_scan
from gsm_plugin.ops.colour_convolution.interface import colour_convolution
from gsm_plugin.ops.convolution import convolve_3x3
from gsm_plugin.ops.depthwise_conv.interface import depthwise_conv_gelu
from gsm_plugin.ops.dispatch import describe_backends, summarize_backends
from gsm_plugin.ops.encoded_query.interface import encoded_query
from gsm_plugin.ops.flow import COMPOSITIONS, compose_reaching_flows, compose_window_flows
from gsm_plugin.ops.flow_warp.interface import flow_warp
from gsm_plugin.ops.fraction_encoding.interface import fraction_encoding
from gsm_plugin.ops.gated_feed_forward.interface import FeedForward, gated_feed_forward
from gsm_plugin.ops.gated_gelu.interface import gated_gelu
from gsm_plugin.ops.gather_norm.interface import Cells, gather_norm
from gsm_plugin.ops.implicit_warp.interface import implicit_warp
from gsm_plugin.ops.linear_layer import linear
from gsm_plugin.ops.residual_norm.interface import layer_norm, residual_layer_norm, residual_sum
from gsm_plugin.ops.scatter_norm.interface import SumAndNorm, scatter_norm
from gsm_plugin.ops.selective_scan.interface import selective_scan
from gsm_plugin.ops.shuffle_leaky_relu.interface import shuffle_leaky_relu
from gsm_plugin.ops.surrounding_pixels import surrounding_pixels
from gsm_plugin.ops.window_attention.interface import window_attention
from gsm_plugin.ops.window_attention.naive import pad_to_windows

__all__ = [
    'COMPOSITIONS',
    'Cells',
    'FeedForward',
    'ScanParameters',
    'SumAndNorm',
    'bidirectional_scan',
    'colour_convolution',
    'compose_reaching_flows',
    'compose_window_flows',
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
    'pad_to_windows',
    'residual_layer_norm',
    'residual_sum',
    'scatter_norm',
    'selective_scan',
    'shuffle_leaky_relu',
    'sinusoids',
    'summarize_backends',
    'surrounding_pixels',
    'tf32',
    'window_attention',
]
