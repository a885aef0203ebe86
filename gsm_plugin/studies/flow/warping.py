"""Warping error: how well frames agree with the anchor that they are warped to, and how much of it is hidden in them.

Flows are those that a GSM gathers by: of SPyNet between neighbours, composed by `compose_window_flows`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from gsm_plugin.archs.flow_estimation import estimate_flows
from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.scenes import CutFinder
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.metrics.occlusion import FLOOR, SLACK
from gsm_plugin.ops import COMPOSITIONS, compose_window_flows, flow_warp, grid

SHARES = ('occluded', 'outside')
MEASURES = ('error', 'visible error', *SHARES, 'still')
SIZES = (3, 5, 7)
ANCHORS = ('center', 'forward')
REACH = max(SIZES) - 1

# Pixels by which sums of flows may miss the outermost pixel that they lead to.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    error: float


@dataclass(frozen=True)
class ClipWarping:
    """What was measured on a clip.

    Attributes:
        clip: Its name.
        scenes: For each composition, a result of `measure_pairs` for each scene.
    """

    clip: str
    scenes: dict[str, list[dict[str, Tensor]]]

    def at(self, composition: str, measure: str, distance: int) -> Estimate:
        """Of frames so many apart."""
        return _estimate(self._distance(composition, measure, distance), distance + 1)

    def reference_above_exact(self, measure: str, distance: int) -> Estimate:
        """By how much the same frames have more with flows composed as published than with exact ones."""
        reference, exact = (self._distance(composition, measure, distance) for composition in COMPOSITIONS)
        return _estimate(reference - exact, distance + 1)

    def of_windows(self, composition: str, measure: str, size: int, anchor: str) -> Estimate:
        """Of the frames of a window, its anchor among them."""
        return _estimate(self._windows(composition, measure, size, anchor), size)

    def forward_above_center(self, composition: str, measure: str, size: int) -> Estimate:
        """By how much the same windows have more with the forward anchor than with the centre one."""
        center, forward = (self._windows(composition, measure, size, anchor) for anchor in ANCHORS)
        return _estimate(forward - center, size)

    def _distance(self, composition: str, measure: str, distance: int) -> Tensor:
        return torch.cat([at_distance(pairs[measure], distance) for pairs in self.scenes[composition]])

    def _windows(self, composition: str, measure: str, size: int, anchor: str) -> Tensor:
        return torch.cat([of_windows(pairs[measure], size, anchor) for pairs in self.scenes[composition]])


@torch.no_grad()
def measure_warping(name: str, lq: Tensor, spynet: SpyNet) -> ClipWarping:
    """Measures all scenes of a clip that hold the largest window.

    Args:
        name: The clip's name.
        lq: (1, t, 3, h, w), in [0, 1].
        spynet: The flow network.

    Raises:
        UserError: There is no such scene.
    """
    scenes = [lq[:, start:stop] for start, stop in find_scenes(lq) if stop - start > REACH]
    if not scenes:
        raise UserError(f'{name} has no {REACH + 1} frames without a cut; give it more frames.')
    flows = [estimate_flows(spynet, scene) for scene in scenes]
    return ClipWarping(
        name,
        {
            composition: [
                measure_pairs(scene, *pair, REACH, composition) for scene, pair in zip(scenes, flows, strict=True)
            ]
            for composition in COMPOSITIONS
        },
    )


def find_scenes(lq: Tensor) -> list[tuple[int, int]]:
    """First frame of each scene of a clip (1, t, 3, h, w), and the frame after its last."""
    finder = CutFinder()
    for frame in (lq[0].permute(0, 2, 3, 1).flip(-1) * 255).round().byte().cpu().numpy():
        finder.add(frame)
    return finder.scenes()


@torch.no_grad()
def measure_pairs(
    clip: Tensor, flows_backward: Tensor, flows_forward: Tensor, reach: int, composition: str
) -> dict[str, Tensor]:
    """Warps every frame of a clip to every other within reach.

    Args:
        clip: (1, t, c, h, w), in [0, 1], of more than `reach` frames.
        flows_backward: From frame i to frame i + 1, on the grid of frame i, (1, t - 1, 2, h, w), pixels, x then y.
        flows_forward: From frame i + 1 to frame i, on the grid of frame i + 1, the same shape.
        reach: Most frames between the two.
        composition: See `compose_window_flows`.

    Returns:
        (t, 2 * reach + 1) for each of `MEASURES`, by the anchor's number in the clip, then by how much later than it
        the warped frame is, -reach ... reach; NaN where the clip has no such frame.

        - error: Mean absolute difference between the two; outside a frame the nearest pixel counts, as in the gather.
        - visible error: The same of pixels that are neither occluded nor outside; NaN where there are none.
        - occluded: Share of the anchor's pixels that flow leads into the frame from, and not back.
        - outside: Share of the anchor's pixels that flow leads out of the frame from.
        - still: The error without any motion.
    """
    frames = clip.shape[1]
    gather, scatter = compose_window_flows(flows_backward, flows_forward, reach, reach, composition)
    measured = {name: clip.new_full((frames, 2 * reach + 1), torch.nan) for name in MEASURES}
    for place, later in enumerate(range(-reach, reach + 1)):
        anchors = slice(max(0, -later), frames - max(0, later))
        sources = slice(anchors.start + later, anchors.stop + later)
        found = _measure(clip[0, anchors], clip[0, sources], gather[0, anchors, place], scatter[0, anchors, place])
        for name, values in zip(MEASURES, found, strict=True):
            measured[name][anchors, place] = values
    return measured


def at_distance(pairs: Tensor, distance: int) -> Tensor:
    """Means over both directions of all frames so many apart, from a measure of `measure_pairs`: (t - distance,)."""
    reach = pairs.shape[1] // 2
    later, earlier = pairs[: len(pairs) - distance, reach + distance], pairs[distance:, reach - distance]
    return (later + earlier) / 2


def of_windows(pairs: Tensor, size: int, anchor: str) -> Tensor:
    """Means over the frames of each window, from a measure of `measure_pairs`: (t - size + 1,).

    A forward anchor is the newest frame of a sweep, which is the last in time in one half of the sweeps and the first
    in the other: the mean of both is taken.
    """
    reach, windows = pairs.shape[1] // 2, len(pairs) - size + 1
    means = [
        pairs[place : place + windows, reach - place : reach - place + size].mean(1) for place in _places(size, anchor)
    ]
    return torch.stack(means).mean(0)


def mean_distance(size: int, anchor: str) -> float:
    """Of the frames of a window to its anchor, which is among them."""
    return fmean(abs(frame - _places(size, anchor)[0]) for frame in range(size))


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Over clips, each counting the same; its error says nothing about other clips."""
    error = math.hypot(*(one.error for one in estimates)) / len(estimates)
    return Estimate(fmean(one.mean for one in estimates), error)


def _places(size: int, anchor: str) -> tuple[int, ...]:
    """Where in a window its anchor is, in time, in the sweeps."""
    return (size // 2,) if anchor == 'center' else (size - 1, 0)


def _measure(target: Tensor, source: Tensor, outward: Tensor, back: Tensor) -> tuple[Tensor, ...]:
    """`MEASURES` of pairs (n, c, h, w), by flows (n, 2, h, w) on the grids of target and source: (n,) each."""
    place = grid.places(outward)
    last = place.new_tensor([place.shape[-1] - 1, place.shape[-2] - 1]).view(2, 1, 1)
    nearest = place.clamp(min=place.new_zeros(()), max=last)
    inside = ((place - nearest).abs() <= _ROUNDING).all(1)
    inner = nearest - grid.pixel_grid(outward)
    returned = _warp(back, inner)
    squares = [flow.square().sum(1) for flow in (outward + returned, outward, returned)]
    leads_back = squares[0] <= SLACK * (squares[1] + squares[2]) + FLOOR
    difference = (_warp(source, inner) - target).abs().mean(1)
    visible = inside & leads_back
    return (
        _mean(difference),
        (difference * visible).sum((1, 2)) / visible.sum((1, 2)),
        _mean(inside & ~leads_back),
        _mean(~inside),
        _mean((source - target).abs().mean(1)),
    )


def _warp(x: Tensor, flow: Tensor) -> Tensor:
    return flow_warp(x.movedim(1, -1), flow).movedim(-1, 1)


def _mean(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32)).mean((1, 2))


def _estimate(values: Tensor, frames: int) -> Estimate:
    """Of values that stand for so many frames each and share them: as many count as there are side by side."""
    deviation = values.double().std().item()
    return Estimate(values.double().mean().item(), deviation * math.sqrt(frames / len(values)))
