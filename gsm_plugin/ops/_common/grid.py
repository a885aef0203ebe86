"""Coordinates of pixels, and of the places that flows point to.

A flow may point far outside the image, and one that a network has ruined may not be finite. Along each axis a place
counts as `FAR` pixels from the origin where it would be as far or farther, on the side that it is on; one that is not a
number counts as being on the left, or at the top. There it is a whole pixel, and no gradient flows into the flow. All
images are smaller than that.
"""

import torch
from torch import Tensor

# Pixels. float32 still has fractions of a pixel there, and sums of a few such flows.
FAR = 2.0**20


def pixel_grid(flow: Tensor) -> Tensor:
    """Coordinates of every pixel, x then y, for a flow (..., 2, h, w): (2, h, w)."""
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing='ij',
    )
    return torch.stack((x, y))


def within_reach(x: Tensor) -> Tensor:
    """Values between -FAR and FAR: those beyond are the nearer of the two, NaN is -FAR, and neither has a gradient."""
    return torch.where(x.abs() < FAR, x, torch.where(x > 0, FAR, -FAR))


def places(flow: Tensor) -> Tensor:
    """`pixel + flow` as far as `FAR`, in float32 or better, for a flow (..., 2, h, w)."""
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return within_reach(pixel_grid(flow) + flow)


def sampling_grid(place: Tensor, height: int, width: int) -> Tensor:
    """Places for `grid_sample` with `align_corners`, where -1 and 1 are the middles of the outermost pixels.

    Args:
        place: `pixel + flow`, (n, 2, h, w), pixels, x then y.
        height: Of what is sampled.
        width: Of what is sampled.

    Returns:
        (n, h, w, 2).
    """
    x, y = place.unbind(1)
    return torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)
