"""The bidirectional scan by PyTorch's convolution and the scan that keeps no states."""

import torch
from torch import Tensor

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters
from gsm_plugin.ops.bidirectional_scan.naive import in_full_precision


def bidirectional_scan_torch(
    x: Tensor, z: Tensor, parameters: ScanParameters, kept: torch.dtype | None = None
) -> Tensor:
    """Computes `bidirectional_scan`, arguments and result as described there."""
    return in_full_precision(x, z, parameters, 'torch')
