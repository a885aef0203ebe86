"""Pure tensor functions. Each op has a naive version, which is the law, and faster ones that are held to it."""

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters, bidirectional_scan
from gsm_plugin.ops.dispatch import describe_backends
from gsm_plugin.ops.flow import compose_window_flows, flow_warp
from gsm_plugin.ops.implicit_warp.interface import implicit_warp
from gsm_plugin.ops.selective_scan.interface import selective_scan
from gsm_plugin.ops.window_attention.interface import window_attention

__all__ = [
    'ScanParameters',
    'bidirectional_scan',
    'compose_window_flows',
    'describe_backends',
    'flow_warp',
    'implicit_warp',
    'selective_scan',
    'window_attention',
]
