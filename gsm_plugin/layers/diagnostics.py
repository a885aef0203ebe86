"""Cheap numbers of a network's weights that tell whether a part of it has died, which the loss need not."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.ops import sinusoids

# Places within a pixel, along each axis, at which the attention of the implicit warp is looked at.
_PLACES = 8
# A scan forgets nothing below the first step size, and everything above the second.
_SMALLEST_STEP, _LARGEST_STEP = 1e-4, 10.0


@torch.no_grad()
def describe_blocks(blocks: Iterable[GatherScatterBlock]) -> dict[str, float]:
    """Numbers of gather-scatter blocks.

    Returns:
        `scan_step`, the median step size softplus(bias) of their scans; `scan_steps_dead`, the share of channels whose
        step size is below 1e-4 or above 10, in which a scan sees nothing but its past or nothing of it; and
        `scatter_gain`, how much of what they scatter is added to a frame beside the frame itself: the root mean square
        of a row of `out_proj` over the mean of `skip_scale`.
    """
    blocks = list(blocks)
    scans = [scan for block in blocks for scan in (block.mamba.dt_proj, block.mamba.dt_proj_b)]
    steps = torch.nn.functional.softplus(torch.stack([scan.bias for scan in scans]).float())
    dead = (steps < _SMALLEST_STEP) | (steps > _LARGEST_STEP)
    gains = [
        block.mamba.out_proj.weight.float().norm(dim=1).mean() / block.skip_scale.float().abs().mean().clamp_min(1e-12)
        for block in blocks
    ]
    names = ('scan_step', 'scan_steps_dead', 'scatter_gain')
    return dict(zip(names, _numbers(steps.median(), dead.float().mean(), torch.stack(gains).mean()), strict=True))


@torch.no_grad()
def attention_to_positions(warp: ImplicitWarp) -> float:
    """How much the attention of an implicit warp follows from positions alone, 0 for not at all.

    The mean, over heads and places within a pixel, of the standard deviation of the four logits that encoded positions
    make without features. Where it is much below 1, four pixels are averaged wherever a flow points.
    """
    dim = warp.q.weight.shape[0]
    device = warp.q.weight.device
    place = (torch.arange(_PLACES, device=device) + 0.5) / _PLACES / (2 + sinusoids.EPSILON) * (2 * math.pi)
    y, x = torch.meshgrid(place, place, indexing='ij')
    encoded = sinusoids.encode(y, x, dim).flatten(0, 1)
    query = (encoded @ warp.q.weight.float().t() + warp.q.bias).unflatten(1, (warp.num_heads, -1))
    key = (warp.position_bias[0].float() @ warp.k.weight.float().t()).unflatten(1, (warp.num_heads, -1))
    logits = torch.einsum('phd,jhd->phj', query, key) * query.shape[2] ** -0.5
    (number,) = _numbers(logits.std(-1, unbiased=False).mean())
    return number


@torch.no_grad()
def relative_distance(network: nn.Module, other: nn.Module) -> float:
    """Norm of the difference of the parameters of two networks over that of the first, such as of its average."""
    mine: list[Tensor] = list(network.parameters())
    theirs: list[Tensor] = list(other.parameters())
    differences = torch._foreach_sub(mine, theirs)
    norms = [torch.stack(torch._foreach_norm(some)).norm() for some in (differences, mine)]
    (number,) = _numbers(norms[0] / norms[1].clamp_min(1e-12))
    return number


def _numbers(*tensors: Tensor) -> list[float]:
    return torch.stack(tensors).tolist()
