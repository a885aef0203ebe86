"""The pixels around the places that a flow points to: the warp of VRT's input (arXiv 2201.12288)."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places


def surrounding_pixels(x: Tensor, flow: Tensor) -> Tensor:
    """Takes the four pixels around `pixel + flow`, unweighted, zeros outside the image; no gradient for the flow.

    A place that is not finite is outside.

    Args:
        x: Images, (n, c, h, w).
        flow: Displacements in pixels, x then y, (n, 2, h, w).

    Returns:
        (n, 4 * c, h, w): at (floor x, floor y), (floor x, ceil y), (ceil x, floor y), (ceil x, ceil y). Where the
        place is a whole pixel along an axis, floor and ceil are the same.

    Raises:
        ValueError: The shapes do not belong together.
    """
    if x.ndim != 4 or flow.shape != (x.shape[0], 2, *x.shape[2:]):
        raise ValueError(
            f'surrounding_pixels got x {tuple(x.shape)} and flow {tuple(flow.shape)}; give (n, c, h, w), (n, 2, h, w).'
        )
    h, w = x.shape[2:]
    place = places(flow.detach())
    (left, top), (right, bottom) = place.floor().unbind(1), place.ceil().unbind(1)
    pixels = []
    for i_x, i_y in ((left, top), (left, bottom), (right, top), (right, bottom)):
        inside = (i_x >= 0) & (i_x < w) & (i_y >= 0) & (i_y < h)
        index = i_y.clamp(0, h - 1).long() * w + i_x.clamp(0, w - 1).long()
        taken = x.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
        pixels.append(torch.where(inside[:, None], taken, 0))
    return torch.cat(pixels, 1)
