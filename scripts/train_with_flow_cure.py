"""Trains with one change to what the flow network learns from: `python scripts/train_with_flow_cure.py CURE -opt FILE`.

For the comparison in docs/training.md. CURE is none, no-fraction (no gradient through the encoded fraction of a flow),
bilinear (instead of that gradient the one of bilinear warping) or photometric (the photometric error of the flows is
added to the loss). The other arguments are those of `basicsr train`.
"""

import sys

import torch
from torch import Tensor

import gsm_plugin

gsm_plugin.register()

from gsm_plugin.cli.main import main  # noqa: E402
from gsm_plugin.evaluation.flow_health import photometric_error  # noqa: E402
from gsm_plugin.layers import implicit_warp  # noqa: E402
from gsm_plugin.models.gsm_model import GSMModel  # noqa: E402
from gsm_plugin.ops import flow_warp  # noqa: E402


def cut_gradient_of_fraction() -> None:
    encode = implicit_warp.fraction_encoding

    def encode_without_gradient(target: Tensor, flow: Tensor, *others) -> Tensor:
        return encode(target, flow.detach(), *others)

    implicit_warp.fraction_encoding = encode_without_gradient


def take_bilinear_gradient() -> None:
    cut_gradient_of_fraction()
    warp = implicit_warp.ImplicitWarp.forward

    def forward(self, frames: Tensor, target: Tensor, flow: Tensor, projections=None) -> Tensor:
        warped = warp(self, frames, target, flow, projections)
        if not (torch.is_grad_enabled() and flow.requires_grad):
            return warped
        with torch.autocast(frames.device.type, enabled=False):
            values = torch.nn.functional.linear(frames.detach().float(), self.v.weight.detach())
            moved = flow_warp(values, flow)
        return warped + (moved - moved.detach()).to(warped.dtype)

    implicit_warp.ImplicitWarp.forward = forward


def add_photometric_loss() -> None:
    losses = GSMModel._losses

    def with_flows(self) -> dict[str, Tensor]:
        found = losses(self)
        network = self.get_bare_model(self.net_g)
        found['l_flow'] = photometric_error(self.lq, *network.estimate_flows(self.lq))
        return found

    GSMModel._losses = with_flows


CURES = {
    'none': lambda: None,
    'no-fraction': cut_gradient_of_fraction,
    'bilinear': take_bilinear_gradient,
    'photometric': add_photometric_loss,
}

if __name__ == '__main__':
    cure = sys.argv[1] if len(sys.argv) > 1 else None
    if cure not in CURES:
        sys.exit(
            f'{sys.argv[0]}: {cure} is no cure; give one of {", ".join(CURES)}, then the arguments of basicsr train.'
        )
    CURES[cure]()
    sys.exit(main(['train', *sys.argv[2:]]))
