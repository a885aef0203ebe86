"""Changes to what a flow network learns from in a training, for the comparison in docs/training.md."""

from typing import Any

import torch
from torch import Tensor

from gsm_plugin.compat.replacing import replaces
from gsm_plugin.layers import implicit_warp
from gsm_plugin.layers.precision import without_autocast
from gsm_plugin.metrics.flow_health import photometric_error
from gsm_plugin.models import guarded_step
from gsm_plugin.models.gsm_model import GSMModel
from gsm_plugin.models.guarded_step import GuardedStep
from gsm_plugin.ops import flow_warp

# Of the flow network's gradient: a fifth of what it has in a network that was trained for long.
_TIGHT_NORM = 0.01


def cut_gradient_of_fraction() -> None:
    """The flows get no gradient through the encoded fraction."""
    encode = implicit_warp.fraction_encoding

    @replaces(implicit_warp)
    def fraction_encoding(target: Tensor, flow: Tensor, *others: Any) -> Tensor:
        return encode(target, flow.detach(), *others)


def take_bilinear_gradient() -> None:
    """Instead of the gradient through the encoded fraction, the flows get that of bilinear warping."""
    cut_gradient_of_fraction()
    warp = implicit_warp.ImplicitWarp.forward

    @replaces(implicit_warp.ImplicitWarp)
    def forward(self, frames: Tensor, target: Tensor, flow: Tensor) -> Tensor:
        warped = warp(self, frames, target, flow)
        if not (torch.is_grad_enabled() and flow.requires_grad):
            return warped
        with without_autocast(frames):
            values = torch.nn.functional.linear(frames.detach().float(), self.v.weight.detach())
            moved = flow_warp(values, flow)
        return warped + (moved - moved.detach()).to(warped.dtype)


def add_photometric_loss() -> None:
    """The photometric error of the flows is added to the loss."""
    losses = GSMModel._losses

    @replaces(GSMModel)
    def _losses(self) -> dict[str, Tensor]:
        found = losses(self)
        network = self.get_bare_model(self.net_g)
        found['l_flow'] = photometric_error(self.lq, *network.estimate_flows(self.lq))
        return found


def clip_tightly() -> None:
    """The flow network's gradient is clipped to a norm of its own, which nearly every step has to be clipped to."""
    construct, clip = GuardedStep.__init__, guarded_step.clip_grads_with_norm_
    of_flows: set[int] = set()

    @replaces(GuardedStep)
    def __init__(self, *arguments: Any) -> None:
        construct(self, *arguments)
        of_flows.update(map(id, self._groups['flow network']))

    @replaces(guarded_step)
    def clip_grads_with_norm_(parameters: list[Tensor], max_norm: float, total_norm: Tensor) -> None:
        clip(parameters, _TIGHT_NORM if id(parameters[0]) in of_flows else max_norm, total_norm)


CURES = {
    'none': lambda: None,
    'no-fraction': cut_gradient_of_fraction,
    'bilinear': take_bilinear_gradient,
    'photometric': add_photometric_loss,
    'tight-clipping': clip_tightly,
}
