"""Coordinates of pixels."""

import torch
from torch import Tensor


def pixel_grid(flow: Tensor) -> Tensor:
    """Coordinates of every pixel, x then y, for a flow (..., 2, h, w): (2, h, w)."""
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing='ij',
    )
    return torch.stack((x, y))


def sampling_grid(flow: Tensor, height: int, width: int) -> Tensor:
    """`pixel + flow` for `grid_sample` with `align_corners`, where -1 and 1 are the middles of the outermost pixels.

    Args:
        flow: (n, 2, h, w), pixels, x then y.
        height: Of what is sampled.
        width: Of what is sampled.

    Returns:
        (n, h, w, 2).
    """
    x, y = (pixel_grid(flow) + flow).unbind(1)
    return torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)
