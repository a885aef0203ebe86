"""Planes of a film's frames to RGB and back, in float32, by the matrix, range and chroma position of the file.

Nothing is clipped on the way: codes outside the gamut of RGB come back as they were.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gsm_plugin.inference.video.chroma import enlarge, reduce
from gsm_plugin.inference.video.layout import LUMA_WEIGHTS, Layout


def to_rgb(planes: Sequence[Tensor], layout: Layout) -> Tensor:
    """Decodes planes.

    Args:
        planes: One (t, h, w) a plane, of the layout's codes, in any type.
        layout: What they mean.

    Returns:
        (t, 3, h, w), float32, nominally in [0, 1], on the device of the planes.
    """
    planes = [plane.float() for plane in planes]
    height, width = planes[0].shape[-2:]
    peak = 2**layout.depth - 1
    if layout.kind == 'rgb':
        green, blue, red = (plane / peak for plane in planes)
        return torch.stack([red, green, blue], 1)
    black, extent, middle, swing = _levels(layout)
    luma = (planes[0] - black) / extent
    if layout.kind == 'gray':
        return torch.stack([luma] * 3, 1)
    (across, down), (left, top) = layout.subsampling, layout.offsets
    blue_difference, red_difference = (
        (enlarge(enlarge(plane, width, across, left, -1), height, down, top, -2) - middle) / swing
        for plane in planes[1:]
    )
    red_weight, blue_weight = LUMA_WEIGHTS[layout.matrix]
    red = luma + red_difference * (2 * (1 - red_weight))
    blue = luma + blue_difference * (2 * (1 - blue_weight))
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return torch.stack([red, green, blue], 1)


def from_rgb(clip: Tensor, layout: Layout) -> list[Tensor]:
    """Encodes frames.

    Args:
        clip: (t, 3, h, w), float32.
        layout: What the planes are to mean.

    Returns:
        One (t, h, w) a plane, rounded codes; uint8, or int32 for more than 8 bits.
    """
    red, green, blue = clip.float().unbind(1)
    peak = 2**layout.depth - 1
    if layout.kind == 'rgb':
        return [_codes(plane * peak, layout) for plane in (green, blue, red)]
    black, extent, middle, swing = _levels(layout)
    red_weight, blue_weight = LUMA_WEIGHTS[layout.matrix]
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    planes = [_codes(luma * extent + black, layout)]
    if layout.kind == 'gray':
        return planes
    (across, down), (left, top) = layout.subsampling, layout.offsets
    # What is left out may move a sample by a small part of a code.
    tolerance = 0.01 / 2**layout.depth
    for colour, weight in ((blue, blue_weight), (red, red_weight)):
        difference = (colour - luma) / (2 * (1 - weight))
        small = reduce(reduce(difference, across, left, -1, tolerance), down, top, -2, tolerance)
        planes.append(_codes(small * swing + middle, layout))
    return planes


def _levels(layout: Layout) -> tuple[float, float, float, float]:
    """Code of black, white over black, code of no chroma, swing of chroma."""
    unit, peak = 2 ** (layout.depth - 8), 2**layout.depth - 1
    if layout.full_range:
        return 0, peak, 128 * unit, peak
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def _codes(plane: Tensor, layout: Layout) -> Tensor:
    codes = plane.round_().clamp_(0, 2**layout.depth - 1)
    return codes.to(torch.uint8 if layout.depth == 8 else torch.int32)
