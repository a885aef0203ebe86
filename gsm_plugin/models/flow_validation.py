"""What flows are like in a validation: how well they align, and, on demand, what they are worth in the metrics."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, distributed, nn

from gsm_plugin.metrics.flow_health import FlowHealth, measure_flows
from gsm_plugin.models.flow_training import estimated_flows, numbers_of

# Of each clip, so many frames from its beginning are measured.
_FRAMES = 16

Flows = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor]]
"""Makes the flows of a clip (b, t, c, h, w) for a network, in place of those that the network would estimate."""


def no_flows(network: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Flows of a clip in which nothing moves."""
    b, t, _, h, w = clip.shape
    return (clip.new_zeros(b, t - 1, 2, h, w),) * 2


def wrong_flows(network: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Flows as long as those of the clip, in the wrong places: turned upside down and left to right."""
    backward, forward = estimated_flows(network, clip)
    return backward.flip(-1, -2), forward.flip(-1, -2)


OTHER_FLOWS: dict[str, Flows] = {'no_flows': no_flows, 'wrong_flows': wrong_flows}
"""By what is added to a metric's name, the flows that `val: flow_worth` scores clips with."""


@torch.no_grad()
def measure_clip(network: nn.Module, lq: Tensor) -> FlowHealth | None:
    """Measures the flows that a network estimates for the first frames of a clip (t, c, h, w) on its device."""
    clip = lq[None, :_FRAMES]
    return measure_flows(clip, *estimated_flows(network, clip))


def mean_numbers(own: Mapping[int, Mapping[str, float]], group: distributed.ProcessGroup | None) -> dict[str, float]:
    """Means over the clips of all processes.

    Args:
        own: By the number of a clip of this process, its numbers by name.
        group: The processes; None where there is one.

    Returns:
        By name the mean over the clips that have it; of `flow_max` the largest.
    """
    parts: list[Any] = [own]
    if group is not None:
        parts = [None] * distributed.get_world_size(group)
        distributed.all_gather_object(parts, dict(own), group=group)
    clips = [numbers for _, numbers in sorted(entry for part in parts for entry in part.items())]
    names = dict.fromkeys(name for numbers in clips for name in numbers)
    found = {name: [numbers[name] for numbers in clips if name in numbers] for name in names}
    return {name: max(some) if name == 'flow_max' else sum(some) / len(some) for name, some in found.items()}


def tell(set_name: str, numbers: Mapping[str, float]) -> None:
    """Logs the numbers of a set in one line."""
    if numbers:
        text = ', '.join(f'{name} {value:.4g}' for name, value in numbers.items())
        get_root_logger().info(f'Flows of {set_name}: {text}.')


def health_numbers(health: FlowHealth | None) -> dict[str, float]:
    """Numbers of a clip's flows by name; none of a clip of one frame."""
    return {} if health is None else numbers_of(health)
