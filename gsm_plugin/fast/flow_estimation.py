"""Optical flow without gradients: pairs of frames in groups, on tensor cores where PyTorch allows them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.flow_pyramid import flow_pyramids
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.ops import grid
from gsm_plugin.switches import tf32

# Pairs are taken in groups of at most so many pixels, so that memory does not grow with the clip.
_PIXELS_AT_ONCE = 2**21
_LARGEST = torch.finfo(torch.float16).max


def estimate_flows(spynet: SpyNet, clip: Tensor) -> tuple[Tensor, Tensor]:
    """As `estimate_flows` of `gsm_plugin.archs.flow_estimation`, without gradients; but see `in_float16`."""
    (backward,), (forward,) = estimate_flow_pyramids(spynet, clip, 1)
    return backward, forward


def estimate_flow_pyramids(spynet: SpyNet, clip: Tensor, levels: int) -> tuple[list[Tensor], list[Tensor]]:
    """As `estimate_flow_pyramids` of `gsm_plugin.archs.flow_estimation`, without gradients; but see `in_float16`."""
    refine = _refine_in_float16 if in_float16(clip) else _refine
    with torch.autocast(clip.device.type, enabled=False):
        return flow_pyramids(spynet, clip, levels, _warp, refine, _PIXELS_AT_ONCE)


def in_float16(clip: Tensor) -> bool:
    """Whether the hidden layers of the flow network are kept in float16: under autocast, instead of TF32.

    Both have 11 bits: TF32 rounds float32 to them for its products, and moves twice as many bytes.
    """
    return clip.is_cuda and torch.is_autocast_enabled(clip.device.type) and tf32.convolutions.is_on()


def _refine(module: nn.Module, images: Tensor) -> Tensor:
    return module(images)


def _refine_in_float16(module: nn.Module, images: Tensor) -> Tensor:
    """A level of SPyNet, with all but its last convolution in float16."""
    *hidden, last = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    x = images
    with torch.autocast(images.device.type, torch.float16, cache_enabled=False):
        for convolution in hidden:
            # a ReLU whose infinities become the largest number there is
            x = convolution(x).clamp_(0, _LARGEST)
    return last(x.float())


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """As BasicSR's `flow_warp`, which makes coordinates on the CPU, which a CUDA graph cannot contain."""
    places = grid.sampling_grid(grid.pixel_grid(flow) + flow, *image.shape[2:])
    return F.grid_sample(image, places, mode='bilinear', padding_mode='border', align_corners=True)
