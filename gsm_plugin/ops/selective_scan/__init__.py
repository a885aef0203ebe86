"""The selective scan of Mamba."""

from gsm_plugin.ops.selective_scan.interface import selective_scan

__all__ = ['selective_scan']
