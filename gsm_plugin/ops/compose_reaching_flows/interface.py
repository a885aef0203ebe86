"""Composed flows to the next frames but one, but two, ... (VRT, arXiv 2201.12288)."""

from torch import Tensor

from gsm_plugin.ops._common.grid import within_reach
from gsm_plugin.ops._common.half_precision import computing_type, round_to
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'compose_reaching_flows'

declare(
    OP,
    Backend('torch', 'each from the one before, all frames at once'),
    Backend('naive', 'the definition'),
)


def compose_reaching_flows(flows: Tensor, reach: int, backend: str = 'auto') -> list[Tensor]:
    """Flows from each frame into the next one, the next but one, and so on, finite as those of windows.

    Args:
        flows: From frame i to frame i + 1, on the grid of frame i, (b, t - 1, 2, h, w), pixels, x then y. For flows
            that point backward in time, give and take them reversed along the time.
        reach: How many frames the farthest flow skips, from 1 up.
        backend: auto, torch or naive.

    Returns:
        For k = 1 ... reach the flow from frame i to frame i + k, (b, t - k, 2, h, w); without frames where the clip
        is shorter.

    Raises:
        RuntimeError: The named backend cannot run here.
    """
    wide = within_reach(flows.to(computing_type(flows.dtype)))
    return [round_to(flow, flows.dtype) for flow in compute(OP, backend, wide, (wide, reach))]
