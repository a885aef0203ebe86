"""A bidirectional Mamba by the definition of its scan: the reference."""

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters, bidirectional_scan


def mamba_mixer_naive(x: Tensor, in_proj: Tensor, parameters: ScanParameters, out_proj: Tensor) -> Tensor:
    """Computes `mamba_mixer`, arguments and result as described there."""
    inner, z = F.linear(x, in_proj).chunk(2, -1)
    return F.linear(bidirectional_scan(inner, z, parameters, 'naive'), out_proj)
