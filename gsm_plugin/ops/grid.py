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
