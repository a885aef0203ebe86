"""VRT without gradients: attention overwrites its input, frames are aligned and enlarged in groups."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.fast.attention import run_group
from gsm_plugin.fast.flow_estimation import estimate_flow_pyramids
from gsm_plugin.fast.grouping import run_in_groups
from gsm_plugin.fast.reconstruction import upsample_onto
from gsm_plugin.layers.vrt_stages import ParallelWarpStage, warp_later_frames

# Frames are enlarged in groups of at most so many output pixels: 64 channels of them are in memory.
_PIXELS_AT_ONCE = 2**20
# The deformable convolution unfolds its input: nine times all neighbours of this many pixels are in memory.
_PIXELS_ALIGNED_AT_ONCE = 2**16


class FastVRT:
    """What `VRT` computes, step by step in the same order; methods are those of the same name there.

    Args:
        network: A `VRT`.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarges a clip."""
        net = self._network
        net.check_input(lq)
        frames, height, width = lq.shape[1], *lq.shape[3:]
        lq = net.fill_up(lq)
        clip = lq[:, :, :3]
        flows_backward, flows_forward = self.estimate_flows(clip)
        features = net.embed(lq, flows_backward[0][0], flows_forward[0][0])
        deep = self._propagate(features, flows_backward, flows_forward)
        features = (features + net.conv_after_body(net.norm(deep)))[:, :frames].permute(0, 1, 4, 2, 3)
        pairs = features.flatten(0, 1), clip[:, :frames].flatten(0, 1)
        pixels = lq.shape[3] * lq.shape[4] * net.upscale**2
        output = run_in_groups(self._reconstruct, *pairs, pixels=pixels, at_once=_PIXELS_AT_ONCE)
        return output.unflatten(0, (-1, frames))[..., : height * net.upscale, : width * net.upscale]

    def estimate_flows(self, clip: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Estimates the flows between frames up to pa_frames / 2 apart, at four resolutions."""
        net = self._network
        return net.compose_flows(*estimate_flow_pyramids(net.spynet, clip, 1 + max(net.levels)))

    def _propagate(self, x: Tensor, flows_backward: list[list[Tensor]], flows_forward: list[list[Tensor]]) -> Tensor:
        net = self._network
        skipped: list[Tensor] = []
        for i, level in enumerate(net.levels):
            if i > 4:
                x = x + skipped[net.levels[i - 1]]
            x = _run_stage(net.get_submodule(f'stage{i + 1}'), x, flows_backward[level], flows_forward[level])
            if i < 3:
                skipped.append(x)
        widen, *groups = net.stage8
        x = widen(x + skipped[0])
        for group in groups:
            x = x + group.linear(run_group(group.residual_group, x))
        return x

    def _reconstruct(self, features: Tensor, frames: Tensor) -> Tensor:
        net = self._network
        if net.upscale == 1:
            return net.conv_last(features) + frames
        images = F.interpolate(frames, scale_factor=net.upscale, mode='bilinear', align_corners=False)
        return upsample_onto(images, net.upsample, net.conv_before_upsample(features), net.conv_last)


def _run_stage(
    stage: ParallelWarpStage, x: Tensor, flows_backward: Sequence[Tensor], flows_forward: Sequence[Tensor]
) -> Tensor:
    def align(frames: Tensor, neighbours: Tensor, flows: Tensor) -> Tensor:
        pixels = frames.shape[1] * frames.shape[2]
        tensors = frames, neighbours, flows
        return run_in_groups(stage.pa_deform, *tensors, pixels=pixels, at_once=_PIXELS_ALIGNED_AT_ONCE)

    x = stage.reshape(x)
    x = stage.linear1(run_group(stage.residual_group1, x)) + x
    x = stage.linear2(run_group(stage.residual_group2, x)) + x
    later = warp_later_frames(align, x, flows_backward)
    earlier = warp_later_frames(align, x.flip(1), [flow.flip(1) for flow in flows_forward]).flip(1)
    return stage.pa_fuse(torch.cat((x, later, earlier), -1))
