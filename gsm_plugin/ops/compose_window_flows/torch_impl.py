"""Flows of temporal windows, for all windows of a clip at once."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.flow_warp.interface import flow_warp


def compose_window_flows_torch(
    flows_backward: Tensor, flows_forward: Tensor, pa_frame: int, anchor: int, composition: str
) -> tuple[Tensor, Tensor]:
    """Computes `compose_window_flows`, arguments and result as described there, of flows within reach."""
    frames, k = flows_backward.shape[1] + 1, 2 * pa_frame + 1
    backward, forward = (F.pad(flow, (0, 0) * 3 + (pa_frame, pa_frame)) for flow in (flows_backward, flows_forward))
    # b[j], f[j]: flows between the window positions j and j + 1, for all windows of the clip
    b, f = ([flow[:, j : j + frames] for j in range(k - 1)] for flow in (backward, forward))
    still = flows_backward.new_zeros(flows_backward.shape[0], frames, *flows_backward.shape[2:])
    gather, scatter = [], []
    for i in range(k):
        # between the anchor and frame i, in the order of time
        steps = list(range(min(i, anchor), max(i, anchor)))
        to_frame, to_anchor = (f, b) if i < anchor else (b, f)
        outward = steps if i > anchor else steps[::-1]
        inward = outward[::-1]
        if composition == 'reference':
            outward, inward = inward, outward
        gather.append(chain([to_frame[j] for j in outward], still))
        scatter.append(chain([to_anchor[j] for j in inward], still))
    return torch.stack(gather, 2), torch.stack(scatter, 2)


def chain(flows: list[Tensor], still: Tensor) -> Tensor:
    """Follows flows (b, t, 2, h, w) one after another, starting on the grid of the first."""
    if not flows:
        return still
    total = flows[0]
    for flow in flows[1:]:
        moved = flow_warp(flow.flatten(0, 1).permute(0, 2, 3, 1), total.flatten(0, 1))
        total = total + moved.permute(0, 3, 1, 2).unflatten(0, flow.shape[:2])
    return total
