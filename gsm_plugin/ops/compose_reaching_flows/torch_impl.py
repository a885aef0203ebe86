"""Flows to the next frames, each from the one that reaches a frame less far, for all frames at once."""

from torch import Tensor

from gsm_plugin.ops.compose_window_flows.torch_impl import chain


def compose_reaching_flows_torch(flows: Tensor, reach: int) -> list[Tensor]:
    """Computes `compose_reaching_flows`, arguments and result as described there, of flows within reach."""
    reaching = [flows]
    for k in range(1, reach):
        count = max(0, flows.shape[1] - k)
        so_far, last_step = reaching[-1][:, :count], flows[:, flows.shape[1] - count :]
        reaching.append(chain([so_far, last_step], so_far) if count else so_far)
    return reaching
