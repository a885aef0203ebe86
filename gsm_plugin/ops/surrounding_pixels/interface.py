"""The pixels around the places that a flow points to: the warp of VRT's input (arXiv 2201.12288)."""

from torch import Tensor

from gsm_plugin.ops._common.shapes import check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'surrounding_pixels'

declare(
    OP,
    Backend('torch', 'gathers all images at once'),
    Backend('naive', 'the definition'),
)


def surrounding_pixels(x: Tensor, flow: Tensor, backend: str = 'auto') -> Tensor:
    """Takes the four pixels around `pixel + flow`, unweighted, zeros outside the image; no gradient for the flow.

    A place that is not finite is outside.

    Args:
        x: Images, (n, c, h, w).
        flow: Displacements in pixels, x then y, (n, 2, h, w).
        backend: auto, torch or naive.

    Returns:
        (n, 4 * c, h, w): at (floor x, floor y), (floor x, ceil y), (ceil x, floor y), (ceil x, ceil y). Where the
        place is a whole pixel along an axis, floor and ceil are the same.

    Raises:
        ValueError: The shapes do not belong together, `x` is of whole numbers, or the two are on several devices.
        RuntimeError: The named backend cannot run here.
    """
    check_tensors((('x', x),), flow)
    if x.ndim != 4 or flow.shape != (x.shape[0], 2, *x.shape[2:]):
        raise ValueError(
            f'surrounding_pixels got x {tuple(x.shape)} and flow {tuple(flow.shape)}; give (n, c, h, w), (n, 2, h, w).'
        )
    return compute(OP, backend, x, (x, flow.detach()))
