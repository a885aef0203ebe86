"""Flows to the next frames as they are defined, frame by frame: the reference."""

import torch
from torch import Tensor

from gsm_plugin.ops.compose_window_flows.naive import followed


def compose_reaching_flows_naive(flows: Tensor, reach: int) -> list[Tensor]:
    """Computes `compose_reaching_flows`, arguments and result as described there, of flows within reach."""
    still, reaching = flows.new_zeros(flows.shape[:1] + flows.shape[2:]), []
    for k in range(1, reach + 1):
        starts = range(flows.shape[1] + 1 - k)
        paths = [followed(list(flows[:, i : i + k].unbind(1)), still) for i in starts]
        reaching.append(torch.stack(paths, 1) if paths else flows[:, :0])
    return reaching
