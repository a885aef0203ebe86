"""Bilinear warping as it is defined, a sum over four pixels: the reference."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places


def flow_warp_naive(x: Tensor, flow: Tensor) -> Tensor:
    """Computes `flow_warp`, arguments and result as described there."""
    n, h, w, _ = x.shape
    place = places(flow)
    corner = place.floor()
    fraction_x, fraction_y = (place - corner).unbind(1)
    image = torch.arange(n, device=x.device)[:, None, None]
    total = x.new_zeros(x.shape, dtype=torch.promote_types(x.dtype, flow.dtype))
    for row, weight_y in enumerate((1 - fraction_y, fraction_y)):
        for column, weight_x in enumerate((1 - fraction_x, fraction_x)):
            i_x, i_y = corner[:, 0] + column, corner[:, 1] + row
            inside = (i_x >= 0) & (i_x < w) & (i_y >= 0) & (i_y < h)
            pixel = x[image, i_y.clamp(0, h - 1).long(), i_x.clamp(0, w - 1).long()]
            total = total + torch.where(inside, weight_y * weight_x, 0)[..., None] * pixel
    return total.to(x.dtype)
