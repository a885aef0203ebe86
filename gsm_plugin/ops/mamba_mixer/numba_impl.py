"""A bidirectional Mamba on a CPU: the scan of Numba, behind which gate and last product are of a few tokens at once."""

import torch
from torch import Tensor

from gsm_plugin.ops._common import scratch
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters
from gsm_plugin.ops.bidirectional_scan.numba_impl import gate_project, scan_both_ways


def mamba_mixer_numba(x: Tensor, in_proj: Tensor, parameters: ScanParameters, out_proj: Tensor) -> Tensor:
    """Computes `mamba_mixer`, arguments and result as described there."""
    x, (of_inner, of_gate) = x.contiguous(), in_proj.detach().chunk(2)
    inner = scratch.empty('mamba_mixer.inner', (*x.shape[:2], len(of_inner)), x)
    torch.mm(x.flatten(0, 1), of_inner.t(), out=inner.flatten(0, 1))
    scanned = scan_both_ways(inner, ScanParameters(*(parameter.detach() for parameter in parameters)))
    output = scratch.empty('mamba_mixer.output', (*x.shape[:2], len(out_proj)), x)
    gate_project(x, scanned, of_gate, out_proj.detach(), output)
    return output
