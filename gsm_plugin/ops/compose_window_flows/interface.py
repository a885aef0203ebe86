"""Composed flows of temporal windows (GSM, arXiv 2510.00862)."""

from torch import Tensor

from gsm_plugin.ops._common.grid import within_reach
from gsm_plugin.ops._common.half_precision import computing_type, round_to
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'compose_window_flows'
COMPOSITIONS = ('reference', 'exact')

declare(
    OP,
    Backend('torch', 'all windows at once'),
    Backend('naive', 'the definition'),
)


def compose_window_flows(
    flows_backward: Tensor,
    flows_forward: Tensor,
    pa_frame: int,
    anchor: int,
    composition: str = 'reference',
    backend: str = 'auto',
) -> tuple[Tensor, Tensor]:
    """Flows between the anchor and every frame of every temporal window of a clip.

    Window `i` of the clip holds the positions i - pa_frame ... i + pa_frame; positions outside the clip stand still
    (zero flow to their neighbours). Flows are composed in float32 or better. The result is finite: flows of more than
    `FAR` pixels (`ops/_common/grid.py`), and such that are not finite, count as so long, NaN to the left, or up, and
    get no gradient.

    Args:
        flows_backward: From frame i to frame i + 1, on the grid of frame i, (b, t - 1, 2, h, w), pixels, x then y.
        flows_forward: From frame i + 1 to frame i, on the grid of frame i + 1, the same shape.
        pa_frame: Neighbours of a window on each side; it has k = 2 * pa_frame + 1 frames.
        anchor: Position of the anchor in the window, 0 ... k - 1.
        composition: `reference` chains the flows as the published implementation does, `exact` starts every chain on
            the grid that it ends up on. Both agree next to the anchor and for constant flow.
        backend: auto, torch or naive.

    Returns:
        The gather flows, from the anchor's grid into each frame, and the scatter flows, from each frame's grid into
        the anchor, both (b, t, k, 2, h, w); zero for the anchor itself.

    Raises:
        ValueError: `composition` is neither of the two.
        RuntimeError: The named backend cannot run here.
    """
    if composition not in COMPOSITIONS:
        raise ValueError(f'flow_composition is {composition!r}; set one of {", ".join(COMPOSITIONS)}.')
    dtype = flows_backward.dtype
    wide = [within_reach(flow.to(computing_type(dtype))) for flow in (flows_backward, flows_forward)]
    gather, scatter = compute(OP, backend, wide[0], (*wide, pa_frame, anchor, composition))
    return round_to(gather, dtype), round_to(scatter, dtype)
