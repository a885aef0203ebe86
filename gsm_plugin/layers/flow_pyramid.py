"""SPyNet's steps from coarse to fine (arXiv 1611.00850), for clips of any size."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.memory_format import for_convolutions
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.ops import extend_by_reflection

# BasicSR's SPyNet halves the image five times and fails where that leaves nothing.
_SMALLEST_SIDE = 33
_PADDED_SIDE = 64
# How far a pixel of a level's result sees: five convolutions of 7x7.
_REACH = 15

Warp = Callable[[Tensor, Tensor], Tensor]
Refine = Callable[[nn.Module, Tensor], Tensor]


def flow_pyramids(
    spynet: SpyNet, clip: Tensor, levels: int, warp: Warp, refine: Refine, pixels_at_once: int | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Estimates the flow between neighbouring frames at several resolutions, both ways (VRT, arXiv 2201.12288).

    Args:
        spynet: BasicSR's SPyNet.
        clip: (b, t, 3, h, w), in [0, 1], with sides that can be halved levels - 1 times. Sides of 32 pixels and less
            are enlarged by reflection for the network.
        levels: Number of resolutions, up to 6.
        warp: The image at `pixel + flow`, at its border where that is outside: (n, 3, h, w) and (n, 2, h, w) ->
            (n, 3, h, w).
        refine: A level's module and its input -> what it adds to the flow, (n, 8, h, w) -> (n, 2, h, w).
        pixels_at_once: Pairs are taken in groups of at most so many pixels; None for all at once.

    Returns:
        As of `estimate_flows`, for each level i from fine to coarse: (b, t - 1, 2, h / 2**i, w / 2**i), in pixels of
        that level.
    """
    b, t, c, h, w = clip.shape
    sizes = [(h >> i, w >> i) for i in range(levels)]
    if t == 1:
        none = [clip.new_zeros(b, 0, 2, *size) for size in sizes]
        return none, none
    padded = _enlarge(_enlarge(clip, -1), -2)
    first, second = (frames.reshape(-1, c, *padded.shape[-2:]) for frames in (padded[:, :-1], padded[:, 1:]))
    ref, supp = torch.cat((first, second)), torch.cat((second, first))
    group = len(ref) if pixels_at_once is None else max(1, pixels_at_once // padded[0, 0, 0].numel())
    pairs = zip(ref.split(group), supp.split(group), strict=True)
    groups = [_coarse_to_fine(spynet, *pair, levels, warp, refine, (h, w)) for pair in pairs]
    flows = [torch.cat(parts) for parts in zip(*groups, strict=True)]
    cut = [flow[..., :h, :w].reshape(2, b, t - 1, 2, h, w) for flow, (h, w) in zip(flows, sizes, strict=True)]
    return [flow[0] for flow in cut], [flow[1] for flow in cut]


def _coarse_to_fine(
    spynet: SpyNet, ref: Tensor, supp: Tensor, levels: int, warp: Warp, refine: Refine, wanted: tuple[int, int]
) -> list[Tensor]:
    """SPyNet as in BasicSR, which keeps the finest of its flows alone: (n, 3, h, w) twice, a flow for each level.

    Of the finest one, at least the wanted rows and columns are there.
    """
    h, w = ref.shape[-2:]
    rounded = [32 * math.ceil(side / 32) for side in (h, w)]
    # of a side that was enlarged, most is not seen; one that is resized counts as a whole
    sides = zip((h, w), rounded, wanted, strict=True)
    seen = [min(side, own + _REACH) if side == whole else whole for side, whole, own in sides]
    pyramids = []
    for image in (ref, supp):
        pyramid = [spynet.preprocess(F.interpolate(image, rounded, mode='bilinear', align_corners=False))]
        while len(pyramid) < len(spynet.basic_module):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        pyramids.append(pyramid)
    flows: list[Tensor] = []
    for module, ref_level, supp_level in zip(spynet.basic_module, *pyramids, strict=True):
        if flows:
            flow = 2 * F.interpolate(flows[0], scale_factor=2, mode='bilinear', align_corners=True)
        else:
            flow = torch.zeros_like(ref_level[:, :2])
        images = torch.cat((ref_level, warp(supp_level, flow), flow), 1)
        if len(flows) + 1 == len(spynet.basic_module):
            images, flow = images[..., : seen[0], : seen[1]], flow[..., : seen[0], : seen[1]]
        flows.insert(0, flow + refine(module, for_convolutions(images)))
    finest = [min(side, own) for side, own in zip((h, w), seen, strict=True)]
    sizes = [(finest[0], finest[1]), *((h >> i, w >> i) for i in range(1, levels))]
    return [_resize(flow, size) for flow, size in zip(flows, sizes, strict=False)]


def _resize(flow: Tensor, size: tuple[int, int]) -> Tensor:
    x, y = F.interpolate(flow, size, mode='bilinear', align_corners=False).unbind(1)
    return torch.stack((x * (size[1] / flow.shape[3]), y * (size[0] / flow.shape[2])), 1)


def _enlarge(clip: Tensor, axis: int) -> Tensor:
    return clip if clip.shape[axis] >= _SMALLEST_SIDE else extend_by_reflection(clip, axis, _PADDED_SIDE)
