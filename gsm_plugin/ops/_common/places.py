"""Places that flows point to, within kernels that Numba compiles; see `grid`."""

import math

import numpy as np

from gsm_plugin.ops._common.compiling import exact
from gsm_plugin.ops._common.grid import FAR

_FAR, _ZERO = np.float32(FAR), np.float32(0)


@exact
def pixel_and_fraction(pixel, flow):
    """The pixel at or before the place that a flow points to along an axis, and how far behind it the place is."""
    place = np.float32(pixel) + flow
    if abs(place) < _FAR:
        before = math.floor(place)
        return int(before), place - np.float32(before)
    return (int(FAR) if place > _ZERO else -int(FAR)), _ZERO
