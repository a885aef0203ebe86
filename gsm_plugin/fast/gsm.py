"""Gather-Scatter Mamba without gradients."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.fast.flow_estimation import estimate_flows
from gsm_plugin.fast.grouping import run_in_groups
from gsm_plugin.fast.reconstruction import by_one_op, convolve_frames, upsample_onto
from gsm_plugin.fast.sweep import run_stage
from gsm_plugin.layers.memory_format import for_convolutions
from gsm_plugin.layers.precision import inference_policy
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.ops import scratch

# Frames are enlarged in groups of at most so many output pixels: 64 channels of them are in memory. On a CPU, smaller
# pieces of memory are used again, and larger ones are asked of the system and filled with zeros each time.
_PIXELS_AT_ONCE, _PIXELS_ON_CPU = 2**21, 2**16


class FastGSM:
    """What `GSMamba` computes, step by step in the same order; methods are those of the same name there.

    Args:
        network: A `GSMamba`.
    """

    def __init__(self, network: Any) -> None:
        self._network = network

    def forward(self, lq: Tensor, flows: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Enlarges a clip, by CUDA graphs where the network has them."""
        self._network.check_input(lq)
        return self._network.restore_by_graphs(lq) if flows is None else self.enhance(lq, *flows)

    def restore(self, lq: Tensor) -> Tensor:
        """Enlarges a clip without CUDA graphs."""
        return self.enhance(lq, *self.estimate_flows(lq))

    def enhance(self, lq: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> Tensor:
        """Enlarges a clip whose flows are known."""
        shape = lq.shape[:2]
        frames = lq.flatten(0, 1)
        # contiguous, as everything up to the reconstruction reads and writes
        deep = self._propagate(self._embed(frames).contiguous().unflatten(0, shape), flows_backward, flows_forward)
        pixels = lq.shape[3] * lq.shape[4] * self._network.upscale**2
        at_once = _PIXELS_ON_CPU if lq.is_cpu else _PIXELS_AT_ONCE
        output = run_in_groups(self._reconstruct, deep.flatten(0, 1), frames, pixels=pixels, at_once=at_once)
        return output.unflatten(0, shape)

    def estimate_flows(self, lq: Tensor, flow_network: SpyNet | None = None) -> tuple[Tensor, Tensor]:
        """Estimates flows_backward and flows_forward of a clip."""
        return estimate_flows(self._network.spynet if flow_network is None else flow_network, lq)

    def _propagate(self, features: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> Tensor:
        net = self._network
        window_flows = net.window_flows(flows_backward, flows_forward)
        with scratch.kept():
            for i, layer in enumerate(net.prop_layers):
                gather_flows, scatter_flows = window_flows[i % 2]
                features = run_stage(layer.stage, features, gather_flows, scatter_flows, net.anchor, net.implicit_align)
        return features

    def _embed(self, frames: Tensor) -> Tensor:
        conv = self._network.conv_first
        with inference_policy(frames).ends.on(frames):
            of_colours = frames.is_cpu or not by_one_op(frames)
            embedded = conv(for_convolutions(frames)) if of_colours else convolve_frames(conv, frames)
            return embedded.permute(0, 2, 3, 1)

    def _reconstruct(self, deep: Tensor, frames: Tensor) -> Tensor:
        net = self._network
        # computed again, since to keep features of all frames costs more than this convolution of three colours; here
        # and below, the first addend decides on the order of memory
        with inference_policy(frames).ends.on(frames):
            features = (net.conv_after_body(net.norm(deep)) + self._embed(frames)).permute(0, 3, 1, 2)
            images = F.interpolate(frames, scale_factor=net.upscale, mode='bilinear', align_corners=False)
            # without a name, so that it is gone once it is enlarged
            return upsample_onto(images, net.upsample, self._widen(features), net.conv_last)

    def _widen(self, features: Tensor) -> Tensor:
        """What `conv_before_upsample` gives."""
        conv, leaky_relu = self._network.conv_before_upsample
        if by_one_op(features):
            return convolve_frames(conv, features, slope=leaky_relu.negative_slope)
        return leaky_relu(conv(for_convolutions(features)))
