"""Composed flows: of temporal windows (GSM, arXiv 2510.00862), and to the next frames but one (VRT, 2201.12288)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops._common.grid import within_reach
from gsm_plugin.ops._common.half_precision import computing_type, round_to
from gsm_plugin.ops.flow_warp.interface import flow_warp

COMPOSITIONS = ('reference', 'exact')


def compose_window_flows(
    flows_backward: Tensor, flows_forward: Tensor, pa_frame: int, anchor: int, composition: str = 'reference'
) -> tuple[Tensor, Tensor]:
    """Flows between the anchor and every frame of every temporal window of a clip.

    Window `i` of the clip holds the positions i - pa_frame ... i + pa_frame; positions outside the clip stand still
    (zero flow to their neighbours). All windows are composed at once, in float32 or better. The result is finite: flows
    of more than `FAR` pixels (`ops/_common/grid.py`), and such that are not finite, count as so long, NaN to the left,
    or up, and get no gradient.

    Args:
        flows_backward: From frame i to frame i + 1, on the grid of frame i, (b, t - 1, 2, h, w), pixels, x then y.
        flows_forward: From frame i + 1 to frame i, on the grid of frame i + 1, the same shape.
        pa_frame: Neighbours of a window on each side; it has k = 2 * pa_frame + 1 frames.
        anchor: Position of the anchor in the window, 0 ... k - 1.
        composition: `reference` chains the flows as the published implementation does, `exact` starts every chain on
            the grid that it ends up on. Both agree next to the anchor and for constant flow.

    Returns:
        The gather flows, from the anchor's grid into each frame, and the scatter flows, from each frame's grid into
        the anchor, both (b, t, k, 2, h, w); zero for the anchor itself.

    Raises:
        ValueError: `composition` is neither of the two.
    """
    if composition not in COMPOSITIONS:
        raise ValueError(f'flow_composition is {composition!r}; set one of {", ".join(COMPOSITIONS)}.')
    frames, k, dtype = flows_backward.shape[1] + 1, 2 * pa_frame + 1, flows_backward.dtype
    flows_backward, flows_forward = _within_reach(flows_backward), _within_reach(flows_forward)
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
        gather.append(_chain([to_frame[j] for j in outward], still))
        scatter.append(_chain([to_anchor[j] for j in inward], still))
    return round_to(torch.stack(gather, 2), dtype), round_to(torch.stack(scatter, 2), dtype)


def compose_reaching_flows(flows: Tensor, reach: int) -> list[Tensor]:
    """Flows from each frame into the next one, the next but one, and so on, finite as those of windows.

    Args:
        flows: From frame i to frame i + 1, on the grid of frame i, (b, t - 1, 2, h, w), pixels, x then y. For flows
            that point backward in time, give and take them reversed along the time.
        reach: How many frames the farthest flow skips, from 1 up.

    Returns:
        For k = 1 ... reach the flow from frame i to frame i + k, (b, t - k, 2, h, w); without frames where the clip
        is shorter.
    """
    dtype, flows = flows.dtype, _within_reach(flows)
    reaching = [flows]
    for k in range(1, reach):
        count = max(0, flows.shape[1] - k)
        so_far, last_step = reaching[-1][:, :count], flows[:, flows.shape[1] - count :]
        reaching.append(_chain([so_far, last_step], so_far) if count else so_far)
    return [round_to(flow, dtype) for flow in reaching]


def _within_reach(flow: Tensor) -> Tensor:
    return within_reach(flow.to(computing_type(flow.dtype)))


def _chain(flows: list[Tensor], still: Tensor) -> Tensor:
    """Follows flows (b, t, 2, h, w) one after another, starting on the grid of the first."""
    if not flows:
        return still
    total = flows[0]
    for flow in flows[1:]:
        moved = flow_warp(flow.flatten(0, 1).permute(0, 2, 3, 1), total.flatten(0, 1))
        total = total + moved.permute(0, 3, 1, 2).unflatten(0, flow.shape[:2])
    return total
