"""A bidirectional Mamba (Vision Mamba, arXiv 2401.09417) from tokens to tokens, in inference."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, outside_autocast
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.bidirectional_scan.interface import ScanParameters
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'mamba_mixer'


declare(
    OP,
    Backend('numba', 'gate and last product of some tokens at once', needs_numba, (torch.float32,), outside_autocast),
    Backend('torch', 'products of matrices around the scan'),
    Backend('naive', 'the definition'),
)


def mamba_mixer(
    x: Tensor, in_proj: Tensor, parameters: ScanParameters, out_proj: Tensor, backend: str = 'auto'
) -> Tensor:
    """Computes `out_proj bidirectional_scan(inner, z)` with `inner, z = in_proj x`.

    Args:
        x: Tokens, (b, l, c).
        in_proj: As Linear has it, (2 d, c), the rows of the gate z last.
        parameters: See `bidirectional_scan`.
        out_proj: Likewise, (m, d).
        backend: auto, numba, torch or naive. numba is for float32 without autocast.

    Returns:
        (b, l, m), of x's type, under autocast of its type.

    Raises:
        ValueError: Shapes do not fit each other, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('mamba_mixer keeps no gradients; call it within torch.no_grad().')
    d = parameters.A.shape[1]
    if x.ndim != 3:
        raise ValueError(f'x has the shape {tuple(x.shape)}; give (b, l, c).')
    expected = ('in_proj', in_proj, (2 * d, x.shape[2])), ('out_proj', out_proj, (len(out_proj), d))
    check_shapes(f'x {tuple(x.shape)} and {d} inner channels need', expected)
    return compute(OP, backend, x, (x, in_proj, parameters, out_proj))
