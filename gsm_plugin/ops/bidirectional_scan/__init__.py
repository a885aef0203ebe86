"""What is between the two projections of a bidirectional Mamba."""

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters, bidirectional_scan

__all__ = ['ScanParameters', 'bidirectional_scan']
