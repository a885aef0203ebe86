"""Deformable alignment guided by optical flow (BasicVSR++, arXiv 2104.13371), of one frame or several at once."""

import math

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from gsm_plugin.layers.precision import training_policy
from gsm_plugin.ops import flow_warp

_TAPS = 9


class FlowGuidedDeform(nn.Module):
    """Samples the neighbours of a frame by a 3x3 convolution whose taps lie around the places that the flows point to.

    The residues of the taps and their weights are estimated from the frame and its neighbours warped by the flows.

    Args:
        dim: Channels, a multiple of `neighbours`.
        neighbours: Number of neighbours.
        groups: Groups of the neighbours' channels, each with taps of its own.
        max_residue: How far a tap may lie from where its flow points, in pixels along each axis.
        backend: Backend of the warp.

    Raises:
        ValueError: The channels or the groups cannot be shared out among the neighbours.
    """

    def __init__(self, dim: int, neighbours: int, groups: int, max_residue: float, backend: str = 'auto') -> None:
        super().__init__()
        if groups < 1 or neighbours * dim % groups or _TAPS * groups % neighbours or dim % neighbours:
            raise ValueError(
                f'deformable_groups is {groups} with {neighbours} neighbours of {dim} channels each; set a divisor of '
                f'{neighbours * dim} that is a multiple of {neighbours}, and channels that are one too.'
            )
        self.groups, self.max_residue, self.backend = groups, max_residue, backend
        self.weight = nn.Parameter(torch.empty(dim, dim, 3, 3))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.conv_offset = nn.Sequential(
            nn.Conv2d((1 + neighbours) * dim + 2 * neighbours, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(dim, 3 * _TAPS * groups, 3, padding=1),
        )
        self._reset()

    def forward(self, frames: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        """Aligns neighbours to frames and merges them.

        Args:
            frames: (n, h, w, dim).
            neighbours: (n, k, h, w, dim).
            flows: From each frame's grid into its neighbours, (n, k, 2, h, w), pixels, x then y.

        Returns:
            (n, h, w, dim).
        """
        warped = flow_warp(neighbours.flatten(0, 1), flows.flatten(0, 1), self.backend).view(neighbours.shape)
        seen = torch.cat((_channels_first(warped), frames.permute(0, 3, 1, 2), flows.flatten(1, 2)), 1)
        hidden = self.conv_offset(seen)
        # the same in inference; in half precision, places would be off by whole pixels
        work = training_policy(frames).taps
        with work.on(frames):
            offsets, mask = self._taps(hidden.to(work.at_least(hidden.dtype)), flows)
            x, weight, bias = (value.to(offsets.dtype) for value in (neighbours, self.weight, self.bias))
            # The weights are those of a group per neighbour.
            output = deform_conv2d(_channels_first(x), offsets, weight, bias, padding=1, mask=mask)
        return output.to(neighbours.dtype).permute(0, 2, 3, 1)

    def _taps(self, hidden: Tensor, flows: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets, y then x for each tap of each group, and weights of the taps."""
        residue, mask = hidden.split((2 * _TAPS * self.groups, _TAPS * self.groups), 1)
        taps_of_neighbour = residue.shape[1] // (2 * flows.shape[1])
        offsets = flows.flip(2).repeat(1, 1, taps_of_neighbour, 1, 1).flatten(1, 2)
        return self.max_residue * residue.tanh() + offsets, mask.sigmoid()

    def _reset(self) -> None:
        """Starts with taps exactly where the flows point to."""
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        for parameter in self.conv_offset[-1].parameters():
            nn.init.zeros_(parameter)


def _channels_first(x: Tensor) -> Tensor:
    """(n, k, h, w, c) -> (n, k * c, h, w)."""
    return x.permute(0, 1, 4, 2, 3).flatten(1, 2)
