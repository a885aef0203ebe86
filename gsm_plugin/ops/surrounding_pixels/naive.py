"""The pixels around places as they are defined, image by image and pixel by pixel: the reference."""

import math
from itertools import product

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places


def surrounding_pixels_naive(x: Tensor, flow: Tensor) -> Tensor:
    """Computes `surrounding_pixels`, arguments and result as described there."""
    n, c, h, w = x.shape
    pixels = []
    place = places(flow).tolist()
    for i, row, column in product(range(n), range(h), range(w)):
        p_x, p_y = place[i][0][row][column], place[i][1][row][column]
        for round_x, round_y in product((math.floor, math.ceil), repeat=2):
            i_x, i_y = round_x(p_x), round_y(p_y)
            inside = torch.tensor(0 <= i_x < w and 0 <= i_y < h, device=x.device)
            nearest = x[i, :, min(max(i_y, 0), h - 1), min(max(i_x, 0), w - 1)]
            pixels.append(torch.where(inside, nearest, 0))
    if not pixels:
        return x.repeat(1, 4, 1, 1)
    return torch.stack(pixels).view(n, h, w, 4 * c).permute(0, 3, 1, 2)
