"""Bilinear warping by PyTorch's grid_sample."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.grid import places, sampling_grid


def flow_warp_torch(x: Tensor, flow: Tensor) -> Tensor:
    """Computes `flow_warp`, arguments and result as described there."""
    x_ = x.permute(0, 3, 1, 2)
    if 1 in x_.shape[2:]:
        # grid_sample cannot express a displacement along a side of one pixel: give it a second one of zeros.
        x_ = F.pad(x_, (0, int(x_.shape[3] == 1), 0, int(x_.shape[2] == 1)))
    grid = sampling_grid(places(flow), *x_.shape[2:])
    # Coordinates in half precision would be off by whole pixels.
    dtype = torch.promote_types(x.dtype, flow.dtype)
    warped = F.grid_sample(x_.to(dtype), grid.to(dtype), 'bilinear', 'zeros', align_corners=True)
    return warped.to(x.dtype).permute(0, 2, 3, 1)
