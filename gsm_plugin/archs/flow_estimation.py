"""Optical flow between the frames of a clip by SPyNet (arXiv 1611.00850), as BasicSR has it, for clips of any size."""

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.compat import UserError
from gsm_plugin.layers.memory_format import for_convolutions
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.ops import extend_by_reflection, grid, tf32
from gsm_plugin.weights.finite import check_finite
from gsm_plugin.weights.loading import fit_file

# BasicSR's SPyNet halves the image five times and fails where that leaves nothing.
_SMALLEST_SIDE = 33
_PADDED_SIDE = 64
# In inference, pairs are taken in groups of at most so many pixels, so that memory does not grow with the clip.
_PIXELS_AT_ONCE = 2**21
_LARGEST = torch.finfo(torch.float16).max


def build_spynet(path: str | Path | None = None) -> SpyNet:
    """Makes a SPyNet, with weights from a file if one is given.

    Args:
        path: Weights in any layout of `read_weights`, of SPyNet alone or of a network that contains it as `spynet`
            (BasicVSR files), as BasicSR or mmagic names them.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file does not hold the weights of SPyNet, or values are not finite.
    """
    spynet = SpyNet()
    if path is not None:
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'spynet_path {path} does not exist; correct it, or leave it out.')
        _load(spynet, path)
    return spynet


def estimate_flows(spynet: SpyNet, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Estimates the flow between neighbouring frames, both ways.

    Args:
        spynet: The flow network. It runs in the clip's precision, even under autocast, and in training without TF32;
            but see `in_float16`.
        clip: (b, t, 3, h, w), in [0, 1]. Sides of 32 pixels and less are enlarged by reflection for the network.

    Returns:
        flows_backward, on the grid of frame i and pointing into frame i + 1, and flows_forward, on the grid of frame
        i + 1 and pointing into frame i, both (b, t - 1, 2, h, w), pixels, x then y.
    """
    (backward,), (forward,) = estimate_flow_pyramids(spynet, clip, 1)
    return backward, forward


def estimate_flow_pyramids(spynet: SpyNet, clip: Tensor, levels: int) -> tuple[list[Tensor], list[Tensor]]:
    """Estimates the flow between neighbouring frames at several resolutions, both ways (VRT, arXiv 2201.12288).

    Args:
        spynet: The flow network. It runs in the clip's precision, even under autocast, and in training without TF32;
            but see `in_float16`.
        clip: (b, t, 3, h, w), in [0, 1], with sides that can be halved levels - 1 times. Sides of 32 pixels and less
            are enlarged by reflection for the network.
        levels: Number of resolutions, up to 6.

    Returns:
        As of `estimate_flows`, for each level i from fine to coarse: (b, t - 1, 2, h / 2**i, w / 2**i), in pixels of
        that level.
    """
    b, t, c, h, w = clip.shape
    sizes = [(h >> i, w >> i) for i in range(levels)]
    if t == 1:
        none = [clip.new_zeros(b, 0, 2, *size) for size in sizes]
        return none, none
    half = in_float16(clip)
    with torch.autocast(clip.device.type, enabled=False), _convolutions():
        padded = _enlarge(_enlarge(clip, -1), -2)
        first, second = (frames.reshape(-1, c, *padded.shape[-2:]) for frames in (padded[:, :-1], padded[:, 1:]))
        ref, supp = torch.cat((first, second)), torch.cat((second, first))
        group = len(ref) if torch.is_grad_enabled() else max(1, _PIXELS_AT_ONCE // padded[0, 0, 0].numel())
        pairs = zip(ref.split(group), supp.split(group), strict=True)
        groups = [_coarse_to_fine(spynet, *pair, levels, half) for pair in pairs]
    flows = [torch.cat(parts) for parts in zip(*groups, strict=True)]
    cut = [flow[..., :h, :w].reshape(2, b, t - 1, 2, h, w) for flow, (h, w) in zip(flows, sizes, strict=True)]
    return [flow[0] for flow in cut], [flow[1] for flow in cut]


def in_float16(clip: Tensor) -> bool:
    """Whether the hidden layers of the flow network are kept in float16: in inference under autocast, instead of TF32.

    Both have 11 bits: TF32 rounds float32 to them for its products, and moves twice as many bytes.
    """
    return (
        clip.is_cuda
        and torch.is_autocast_enabled(clip.device.type)
        and not torch.is_grad_enabled()
        and tf32.convolutions.is_on()
    )


def _convolutions() -> AbstractContextManager:
    """In training without TF32, whose rounding carries positions from one pixel to the next, where gradients jump.

    That is for the forward pass alone: in the backward pass, TF32 changes little.
    """
    return tf32.convolutions.turned(False) if torch.is_grad_enabled() else nullcontext()


def _coarse_to_fine(spynet: SpyNet, ref: Tensor, supp: Tensor, levels: int, half: bool) -> list[Tensor]:
    """SPyNet as in BasicSR, which keeps the finest of its flows alone: (n, 3, h, w) twice, a flow for each level."""
    h, w = ref.shape[-2:]
    rounded = [32 * math.ceil(side / 32) for side in (h, w)]
    pyramids = []
    for image in (ref, supp):
        pyramid = [spynet.preprocess(F.interpolate(image, rounded, mode='bilinear', align_corners=False))]
        while len(pyramid) < len(spynet.basic_module):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        pyramids.append(pyramid)
    flows = []
    for module, ref_level, supp_level in zip(spynet.basic_module, *pyramids, strict=True):
        if flows:
            flow = 2 * F.interpolate(flows[0], scale_factor=2, mode='bilinear', align_corners=True)
        else:
            flow = torch.zeros_like(ref_level[:, :2])
        images = for_convolutions(torch.cat((ref_level, _warp(supp_level, flow), flow), 1))
        flows.insert(0, flow + (_refine_in_float16(module, images) if half else module(images)))
    return [_resize(flow, (h >> i, w >> i)) for i, flow in enumerate(flows[:levels])]


def _refine_in_float16(module: nn.Module, images: Tensor) -> Tensor:
    """A level of SPyNet, with all but its last convolution in float16."""
    *hidden, last = (layer for layer in module.basic_module if isinstance(layer, nn.Conv2d))
    x = images
    with torch.autocast(images.device.type, torch.float16, cache_enabled=False):
        for convolution in hidden:
            # a ReLU whose infinities become the largest number there is
            x = convolution(x).clamp_(0, _LARGEST)
    return last(x.float())


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    """The image at `pixel + flow`, at its border where that is outside: (n, c, h, w) and (n, 2, h, w) -> (n, c, h, w).

    With gradients by BasicSR's `flow_warp`, which can be deterministic; without them by the same formula, for it makes
    coordinates on the CPU, which a CUDA graph of inference cannot contain.
    """
    if torch.is_grad_enabled():
        # here, since BasicSR brings OpenCV and much else along
        from basicsr.archs.arch_util import flow_warp

        return flow_warp(image, flow.permute(0, 2, 3, 1), padding_mode='border')
    places = grid.sampling_grid(grid.pixel_grid(flow) + flow, *image.shape[2:])
    return F.grid_sample(image, places, mode='bilinear', padding_mode='border', align_corners=True)


def _resize(flow: Tensor, size: tuple[int, int]) -> Tensor:
    x, y = F.interpolate(flow, size, mode='bilinear', align_corners=False).unbind(1)
    return torch.stack((x * (size[1] / flow.shape[3]), y * (size[0] / flow.shape[2])), 1)


def _enlarge(clip: Tensor, axis: int) -> Tensor:
    return clip if clip.shape[axis] >= _SMALLEST_SIDE else extend_by_reflection(clip, axis, _PADDED_SIDE)


def _load(spynet: SpyNet, path: Path) -> None:
    _, fit = fit_file(spynet, path)
    # The normalisation is constant, and some files leave it out.
    lacking = [*(name for name in fit.missing if name not in ('mean', 'std')), *fit.resized]
    if lacking:
        raise UserError(f"{path} lacks {min(lacking)} of SPyNet; give a SPyNet or BasicVSR file of BasicSR's.")
    check_finite(fit.weights, spynet.state_dict(), path)
    spynet.load_state_dict(fit.weights, strict=False)
