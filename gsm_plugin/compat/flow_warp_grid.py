"""`flow_warp` makes its grid on the CPU, in the type of the features, and copies it to the GPU at every call.

The copy waits for the GPU, which waits for it. And bfloat16 has 8 bits: of columns beyond 256 every second one is lost,
so that under autocast the right of a frame is warped from up to a pixel away.

On the CPU, the gradient of `grid_sample` ends the process by a signal where a place is NaN and what is outside is the
border (PyTorch 2.14), so a flow network that diverges would end a training without a word.
"""

from types import ModuleType

from gsm_plugin.compat.replacing import replaces


def patch(arch_util: ModuleType) -> None:
    """Makes the grid where the features are, in float32 and without NaN; the original is `flow_warp.__wrapped__`."""
    original = arch_util.flow_warp

    @replaces(arch_util)
    def flow_warp(x, flow, interp_mode='bilinear', padding_mode='zeros', align_corners=True):
        import torch
        from torch.nn import functional as F

        h, w = x.shape[-2:]
        if flow.shape[1:3] != (h, w):
            return original(x, flow, interp_mode, padding_mode, align_corners)
        sides = (torch.arange(side, device=x.device, dtype=torch.float32) for side in (h, w))
        rows, columns = torch.meshgrid(*sides, indexing='ij')
        # the order of the original, so that float32 gives the same bits
        places = 2.0 * (columns + flow[..., 0]) / max(w - 1, 1) - 1.0, 2.0 * (rows + flow[..., 1]) / max(h - 1, 1) - 1.0
        grid = torch.stack(places, 3)
        if padding_mode != 'zeros' and not grid.is_cuda:
            # a border pixel, as on a GPU; the flow itself stays NaN, by which a training sees it
            grid = grid.nan_to_num(nan=-2.0, posinf=2.0, neginf=-2.0)
        return F.grid_sample(x, grid, mode=interp_mode, padding_mode=padding_mode, align_corners=align_corners)
