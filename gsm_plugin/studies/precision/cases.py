"""What is compared: a network with random or trained weights, a small clip, and what output pixels weigh."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.studies.clips import StudyClip, charbonnier
from gsm_plugin.studies.networks import build

DEMO = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 16, 'num_heads': 2}
_RANDOM = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'num_heads': 4}
_FRAMES, _SCALE = 3, 4


class Case(NamedTuple):
    """A network, of options and a state dict, a clip, and the gradient of what is differentiated to the output."""

    title: str
    options: dict
    weights: dict[str, Tensor]
    clip: Tensor
    weighting: Tensor

    def network(self, **options: object) -> GSMamba:
        """Builds the network for training, where the clip is."""
        return build(self.options | options, self.weights, self.clip.device).train()


def random_case(channels: int, size: tuple[int, int], device: torch.device) -> Case:
    """Random weights, and a random weighting of the output.

    Args:
        channels: Of the network.
        size: Rows and columns of the clip.
        device: Where all of it is.
    """
    options: dict[str, Any] = {**_RANDOM, 'embed_dims': channels}
    torch.manual_seed(0)
    weights = GSMamba(**options).state_dict()
    clip = torch.rand(1, _FRAMES, 3, *size, device=device)
    shape = 1, _FRAMES, 3, *(_SCALE * side for side in size)
    weighting = torch.randn(shape, dtype=torch.float64, device=device)
    return Case('Random weights, a random weighting', options, weights, clip, weighting)


def trained_case(options: dict, weights: dict[str, Tensor], clip: StudyClip, size: tuple[int, int]) -> Case:
    """Trained weights, and the loss of the recipes on a piece of a clip.

    Args:
        options: Arguments of the network.
        weights: Its state dict.
        clip: The clip, of whose first frames the upper left corner is taken.
        size: Rows and columns of that.
    """
    piece = clip.part(0, 0, size, _FRAMES)
    with torch.no_grad():
        output = build(options, weights, piece.lq.device).double()(piece.lq.double())
    # that of the output itself would jump where rounding changes a sign
    output.requires_grad_()
    (weighting,) = torch.autograd.grad(charbonnier(output, piece.gt.double()) * output.numel(), output)
    title = f'Trained weights, the loss of the recipes on a piece of {clip.name}'
    return Case(title, options, weights, piece.lq, weighting)
