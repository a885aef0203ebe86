"""Sinusoidal encoding of places in an image (DETR, arXiv 2005.12872; IA-RT, arXiv 2305.00163)."""

import torch
from torch import Tensor

EPSILON = 1e-6
_TEMPERATURE = 0.01


def wavelengths(channels: int, device: torch.device, temperature: float = _TEMPERATURE) -> Tensor:
    """What the angles of one coordinate are divided by, (channels / 2,), the same for a sine and its cosine."""
    half = channels // 2
    index = torch.arange(half, dtype=torch.float32, device=device)
    # float32 as published; in double precision the frequencies would differ in the eighth digit
    return temperature ** (2 * torch.div(index, 2, rounding_mode='floor') / half)


def encode(y: Tensor, x: Tensor, channels: int, temperature: float = _TEMPERATURE) -> Tensor:
    """Sines and cosines in turn, of y in the first half of the channels, of x in the second: (...) -> (..., c)."""
    scale = wavelengths(channels, y.device, temperature)
    angles = torch.cat((y[..., None] / scale, x[..., None] / scale), -1)
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), -1).flatten(-2)
