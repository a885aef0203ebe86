"""Flows of temporal windows as they are defined, window by window and frame by frame: the reference."""

import torch
from torch import Tensor

from gsm_plugin.ops.flow_warp.naive import flow_warp_naive


def compose_window_flows_naive(
    flows_backward: Tensor, flows_forward: Tensor, pa_frame: int, anchor: int, composition: str
) -> tuple[Tensor, Tensor]:
    """Computes `compose_window_flows`, arguments and result as described there, of flows within reach."""
    steps = flows_backward.shape[1]
    still = flows_backward.new_zeros(flows_backward.shape[:1] + flows_backward.shape[2:])

    def path(start: int, end: int) -> Tensor:
        """What leads from a frame to another, both numbered in the clip."""
        if start <= end:
            flows = [flows_backward[:, j] if 0 <= j < steps else still for j in range(start, end)]
        else:
            flows = [flows_forward[:, j] if 0 <= j < steps else still for j in range(start - 1, end - 1, -1)]
        return followed(flows if composition == 'exact' else flows[::-1], still)

    gather, scatter = [], []
    for first in range(-pa_frame, steps + 1 - pa_frame):
        frames = range(first, first + 2 * pa_frame + 1)
        gather.append(torch.stack([path(first + anchor, frame) for frame in frames], 1))
        scatter.append(torch.stack([path(frame, first + anchor) for frame in frames], 1))
    return torch.stack(gather, 1), torch.stack(scatter, 1)


def followed(flows: list[Tensor], still: Tensor) -> Tensor:
    """Follows flows (b, 2, h, w) one after another, starting on the grid of the first."""
    total = still
    for i, flow in enumerate(flows):
        total = total + flow_warp_naive(flow.permute(0, 2, 3, 1), total).permute(0, 3, 1, 2) if i else flow
    return total
