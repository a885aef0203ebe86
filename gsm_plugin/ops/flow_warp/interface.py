"""Bilinear warping by optical flow, with zeros outside the image."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops._common.shapes import check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'flow_warp'


declare(
    OP,
    Backend('triton', 'reads channels-last features of any strides once', needs_triton),
    Backend('torch', 'grid_sample'),
    Backend('naive', 'the definition'),
)


def flow_warp(x: Tensor, flow: Tensor, backend: str = 'auto') -> Tensor:
    """Samples `x` bilinearly at `pixel + flow`, with zeros outside the image.

    A flow may be of any size, and not finite: it then leads outside, and has no gradient.

    Args:
        x: Images or features, (n, h, w, c), of any strides and precision.
        flow: Displacements in pixels, x then y, (n, 2, h, w); half precision is taken to float32 before it is added to
            coordinates.
        backend: auto, triton, torch or naive.

    Returns:
        (n, h, w, c) in the precision of `x`, where position p holds `x[p + flow[p]]`.

    Raises:
        ValueError: The shapes do not belong together, `x` is of whole numbers, or the two are on several devices.
        RuntimeError: The named backend cannot run here.
    """
    check_tensors((('x', x),), flow)
    if x.ndim != 4 or flow.shape != (x.shape[0], 2, *x.shape[1:3]):
        raise ValueError(
            f'flow_warp got x {tuple(x.shape)} and flow {tuple(flow.shape)}; give (n, h, w, c) and (n, 2, h, w).'
        )
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return compute(OP, backend, x, (x, flow))
