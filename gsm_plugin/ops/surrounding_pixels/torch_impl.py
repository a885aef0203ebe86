"""The pixels around places by one gather for each of the four, for all images at once."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places


def surrounding_pixels_torch(x: Tensor, flow: Tensor) -> Tensor:
    """Computes `surrounding_pixels`, arguments and result as described there."""
    h, w = x.shape[2:]
    place = places(flow)
    (left, top), (right, bottom) = place.floor().unbind(1), place.ceil().unbind(1)
    pixels = []
    for i_x, i_y in ((left, top), (left, bottom), (right, top), (right, bottom)):
        inside = (i_x >= 0) & (i_x < w) & (i_y >= 0) & (i_y < h)
        index = i_y.clamp(0, h - 1).long() * w + i_x.clamp(0, w - 1).long()
        taken = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
        pixels.append(torch.where(inside[:, None], taken, 0))
    return torch.cat(pixels, 1)
