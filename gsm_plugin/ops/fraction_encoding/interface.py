"""Adds to features where within a pixel a flow leads: the query of the implicit warp (IA-RT, arXiv 2305.00163)."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'fraction_encoding'


declare(
    OP,
    Backend('triton', 'writes the sum once and nothing else', needs_triton),
    Backend('torch', 'keeps only the flow for the backward pass'),
    Backend('naive', 'the definition'),
)


def fraction_encoding(target: Tensor, flow: Tensor, dtype: torch.dtype, backend: str = 'auto') -> Tensor:
    """Adds sines and cosines of the fractional part of `pixel + flow` to features.

    Along an axis on which `pixel + flow` is not finite, or `FAR` (`ops/_common/grid.py`) or more, the fraction is 0,
    and the flow has no gradient.

    Args:
        target: Features on the grid of the flow, (m, h, w, c), c a multiple of 4. Each is used for n / m flows that
            follow one another.
        flow: Displacements in pixels, x then y, (n, 2, h, w), n a multiple of m; half precision is taken to float32
            before it is added to coordinates.
        dtype: Precision of the result.
        backend: auto, triton, torch or naive.

    Returns:
        (n, h, w, c); sine and cosine alternate, the first half of the channels encodes y, the second x.

    Raises:
        ValueError: The shapes do not belong together.
        RuntimeError: The named backend cannot run here.
    """
    if target.ndim != 4 or flow.ndim != 4 or flow.shape[1:] != (2, *target.shape[1:3]) or target.shape[3] % 4:
        raise ValueError(
            f'fraction_encoding got target {tuple(target.shape)} and flow {tuple(flow.shape)}; '
            f'give (m, h, w, c) with c a multiple of 4 and (n, 2, h, w).'
        )
    if not len(target) or len(flow) % len(target):
        raise ValueError(f'fraction_encoding got {len(flow)} flows for {len(target)} targets; give a multiple.')
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return compute(OP, backend, target, (target, flow, dtype))
