"""`flow_warp` samples by `grid_sample`, whose gradient on a GPU adds up in an order that changes from run to run.

PyTorch refuses it where deterministic algorithms are asked for, so SPyNet could not be trained with them.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from gsm_plugin.compat.replacing import replaces

if TYPE_CHECKING:
    from torch import Tensor


def patch(arch_util: ModuleType) -> None:
    """Gathers pixels by index instead, where deterministic algorithms are asked for on a GPU."""
    original = arch_util.flow_warp
    # BasicSR's makes its grid without the argument that PyTorch will ask for one day; nobody here can add it.
    warnings.filterwarnings('ignore', message='torch.meshgrid: in an upcoming release', category=UserWarning)

    @replaces(arch_util)
    def flow_warp(x, flow, interp_mode='bilinear', padding_mode='zeros', align_corners=True):
        import torch

        is_expressible = interp_mode == 'bilinear' and padding_mode in ('zeros', 'border') and align_corners
        if x.is_cuda and is_expressible and torch.are_deterministic_algorithms_enabled():
            return warp_by_index(x, flow, padding_mode)
        return original(x, flow, interp_mode, padding_mode, align_corners)


def warp_by_index(x: Tensor, flow: Tensor, padding_mode: str) -> Tensor:
    """Bilinear warping as a sum over four pixels.

    Args:
        x: (n, c, h, w).
        flow: Pixels, x then y, (n, h, w, 2).
        padding_mode: zeros or border: what is outside the image.

    Returns:
        (n, c, h, w).
    """
    import torch

    n, _, h, w = x.shape
    rows, columns = torch.meshgrid(*(torch.arange(side, device=x.device) for side in (h, w)), indexing='ij')
    place = torch.stack((columns, rows), 2) + flow
    if padding_mode == 'border':
        place = torch.stack((place[..., 0].clamp(0, w - 1), place[..., 1].clamp(0, h - 1)), 3)
    corner = place.detach().floor()
    fraction = place - corner
    pixels, image = x.permute(0, 2, 3, 1), torch.arange(n, device=x.device)[:, None, None]
    total = torch.zeros((), device=x.device)
    for row in (0, 1):
        for column in (0, 1):
            i_x, i_y = (corner[..., 0] + column).long(), (corner[..., 1] + row).long()
            inside = (i_x >= 0) & (i_x < w) & (i_y >= 0) & (i_y < h)
            weight = _share(fraction[..., 0], column) * _share(fraction[..., 1], row) * inside
            total = total + weight[..., None] * pixels[image, i_y.clamp(0, h - 1), i_x.clamp(0, w - 1)]
    return total.permute(0, 3, 1, 2).to(x.dtype)


def _share(fraction: Tensor, is_next: int) -> Tensor:
    return fraction if is_next else 1 - fraction
