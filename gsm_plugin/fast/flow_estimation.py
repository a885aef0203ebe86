"""Optical flow without gradients: pairs of frames in groups, on tensor cores where PyTorch allows them."""

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.flow_pyramid import flow_pyramids
from gsm_plugin.layers.precision import Work, inference_policy
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.ops import grid, sub_pixel_convolution

# Pairs are taken in groups of at most so many pixels, so that memory does not grow with the clip.
_PIXELS_AT_ONCE = 2**21


def estimate_flows(spynet: SpyNet, clip: Tensor) -> tuple[Tensor, Tensor]:
    """As `estimate_flows` of `gsm_plugin.archs.flow_estimation`, without gradients; but see `Policy.flow_hidden`."""
    (backward,), (forward,) = estimate_flow_pyramids(spynet, clip, 1)
    return backward, forward


def estimate_flow_pyramids(spynet: SpyNet, clip: Tensor, levels: int) -> tuple[list[Tensor], list[Tensor]]:
    """As that of `gsm_plugin.archs.flow_estimation`, without gradients; but see `Policy.flow_hidden`."""
    policy = inference_policy(clip)
    hidden = policy.flow_hidden
    refine = _refine_by_one_op if policy.splits else _refine
    if hidden.applies_to(clip):
        refine = functools.partial(_refine_in_half, hidden)
    with policy.flow_network.on(clip):
        return flow_pyramids(spynet, clip, levels, _warp, refine, _PIXELS_AT_ONCE)


def _refine(module: nn.Module, images: Tensor) -> Tensor:
    return module(images)


def _refine_by_one_op(module: nn.Module, images: Tensor) -> Tensor:
    """A level of SPyNet, of ops that are a convolution and a ReLU each."""
    *hidden, (weight, bias) = (layer.parameters() for layer in module.modules() if isinstance(layer, nn.Conv2d))
    for of_weight, of_bias in hidden:
        images = sub_pixel_convolution(images, of_weight, of_bias, slope=0)
    return sub_pixel_convolution(images, weight, bias)


def _refine_in_half(work: Work, module: nn.Module, images: Tensor) -> Tensor:
    """A level of SPyNet, with all but its last convolution as some work is done."""
    *hidden, last = (layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    x = images
    with work.on(images):
        for convolution in hidden:
            # a ReLU whose infinities become the largest number there is
            x = convolution(x)
            x.clamp_(0, torch.finfo(x.dtype).max)
    return last(x.to(images.dtype))


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """As BasicSR's `flow_warp`, which makes coordinates on the CPU, which a CUDA graph cannot contain."""
    places = grid.sampling_grid(grid.pixel_grid(flow) + flow, *image.shape[2:])
    return F.grid_sample(image, places, mode='bilinear', padding_mode='border', align_corners=True)
