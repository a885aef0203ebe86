"""What flows between the frames of a clip are worth: how long they are, and how well frames warped by them agree."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops import grid

# Flows of a pretrained flow network are a little worse than none where nothing moves.
_CLEARLY, _ROUNDING = 1.05, 0.5 / 255


@dataclass(frozen=True)
class FlowHealth:
    """Measures of the flows of a clip, means over both directions, all pairs of neighbours and all pixels.

    Attributes:
        mean_length: Mean length of a flow, pixels.
        max_length: Length of the longest flow, pixels; infinite where one is not finite.
        error: Mean absolute difference between a frame and its neighbour warped to it by the flow, of values in [0, 1];
            infinite where a flow is not finite.
        error_of_no_motion: The same for the neighbour as it is.
    """

    mean_length: float
    max_length: float
    error: float
    error_of_no_motion: float

    @property
    def is_worse_than_no_motion(self) -> bool:
        """Whether the frames would agree clearly better without any warping; still frames are no sign of it."""
        return self.error > _CLEARLY * self.error_of_no_motion + _ROUNDING


@torch.no_grad()
def measure_flows(clip: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> FlowHealth | None:
    """Measures the flows of a clip.

    Args:
        clip: (b, t, c, h, w), in [0, 1].
        flows_backward: From frame i to frame i + 1, on the grid of frame i, (b, t - 1, 2, h, w), pixels, x then y.
        flows_forward: From frame i + 1 to frame i, on the grid of frame i + 1, the same shape.

    Returns:
        The measures; None for a clip of one frame, which has no flows.
    """
    if clip.shape[1] < 2:
        return None
    clip = clip.float()
    flows = torch.cat((flows_backward, flows_forward)).float()
    length = flows.norm(dim=2)
    error = photometric_error(clip, flows_backward.float(), flows_forward.float())
    still = (clip[:, 1:] - clip[:, :-1]).abs().mean()
    mean, longest, error, still = (
        torch.stack((length.mean(), length.max(), error, still)).nan_to_num(torch.inf, torch.inf).tolist()
    )
    return FlowHealth(mean, longest, error, still)


def photometric_error(clip: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> Tensor:
    """Mean absolute difference between frames and their neighbours warped to them, a scalar; see `measure_flows`.

    What a flow leads outside the frame to is taken from the nearest pixel of its border, so that no flow escapes the
    measure; it is infinite where one is not finite. It can be differentiated with respect to the flows.
    """
    first, second = clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)
    target, source = torch.cat((first, second)), torch.cat((second, first))
    flow = torch.cat((flows_backward.flatten(0, 1), flows_forward.flatten(0, 1)))
    places = grid.sampling_grid(grid.places(flow), *clip.shape[-2:])
    warped = F.grid_sample(source, places, mode='bilinear', padding_mode='border', align_corners=True)
    return torch.where(flow.isfinite().all(), (warped - target).abs().mean(), torch.inf)
