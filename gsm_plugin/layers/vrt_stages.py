"""A stage of VRT: attention in pairs of frames and in windows, then parallel warping (arXiv 2201.12288)."""

from collections.abc import Callable, Sequence

import torch
from einops.layers.torch import Rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.flow_guided_deform import FlowGuidedDeform
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.mlp import GatedMlp
from gsm_plugin.layers.mutual_attention import MutualWindowAttention
from gsm_plugin.layers.window_attention import AttentionGroup, Size3d

# Largest residue of a tap at full resolution, in pixels.
_MAX_RESIDUE = 10


class ParallelWarpStage(nn.Module):
    """Attention within pairs and windows of frames, then each frame is fused with what its neighbours hold of it.

    Args:
        in_dim: Channels of the input.
        dim: Channels of the stage.
        depth: Number of attention blocks.
        num_heads: Number of heads.
        window_size: Window of the self-attention; that of the mutual attention has two frames of it.
        mutual_ratio: Part of the blocks, the first ones, that have mutual attention.
        reshape: none, down (from 2x2 pixels to one) or up (the reverse), at the start.
        scale: How many pixels of the clip a pixel of the stage has along a side.
        neighbours: How many frames on each side are warped.
        deformable_groups: See `FlowGuidedDeform`.
        drop_paths: For every block the probability that training leaves it out.
        warp_backend: Backend of the warp.
        **block_options: Passed to every `AttentionBlock`.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        depth: int,
        num_heads: int,
        window_size: Size3d,
        mutual_ratio: float,
        reshape: str,
        scale: int,
        neighbours: int,
        deformable_groups: int,
        drop_paths: Sequence[float],
        warp_backend: str = 'auto',
        **block_options,
    ) -> None:
        super().__init__()
        self.reshape = _reshape(reshape, in_dim, dim)
        mutual = int(depth * mutual_ratio)
        # As published, both groups take their probabilities from the start of the stage's list.
        block_options |= {'drop_paths': drop_paths}
        pair = (2, *window_size[1:])
        self.residual_group1 = AttentionGroup(
            dim, mutual, num_heads, pair, attention=MutualWindowAttention, **block_options
        )
        self.linear1 = Linear(dim, dim)
        self.residual_group2 = AttentionGroup(dim, depth - mutual, num_heads, window_size, **block_options)
        self.linear2 = Linear(dim, dim)
        self.pa_deform = FlowGuidedDeform(dim, neighbours, deformable_groups, _MAX_RESIDUE / scale, warp_backend)
        self.pa_fuse = GatedMlp(3 * dim, 3 * dim, dim)

    def forward(self, x: Tensor, flows_backward: Sequence[Tensor], flows_forward: Sequence[Tensor]) -> Tensor:
        """Runs the stage.

        Args:
            x: (b, t, h, w, in_dim).
            flows_backward: For k = 1, 2, ... the flow from the grid of frame i into frame i + k, (b, t - k, 2, h, w)
                at the stage's resolution, pixels, x then y; one for each neighbour.
            flows_forward: The same from the grid of frame i + k into frame i.

        Returns:
            (b, t, h, w, dim) at the stage's resolution.
        """
        x = self.reshape(x)
        x = self.linear1(self.residual_group1(x)) + x
        x = self.linear2(self.residual_group2(x)) + x
        later = warp_later_frames(self.pa_deform, x, flows_backward)
        earlier = warp_later_frames(self.pa_deform, x.flip(1), [flow.flip(1) for flow in flows_forward]).flip(1)
        return self.pa_fuse(torch.cat((x, later, earlier), -1))


class ResidualAttentionGroup(nn.Module):
    """`x + linear(attention(x))`.

    Args:
        dim: Channels.
        depth: Number of blocks.
        num_heads: Number of heads.
        window_size: See `WindowAttention`.
        **block_options: Passed to `AttentionGroup`.
    """

    def __init__(self, dim: int, depth: int, num_heads: int, window_size: Size3d, **block_options) -> None:
        super().__init__()
        self.residual_group = AttentionGroup(dim, depth, num_heads, window_size, **block_options)
        self.linear = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        return x + self.linear(self.residual_group(x))


def warp_later_frames(align: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, flows: Sequence[Tensor]) -> Tensor:
    """What the next frames hold of each frame.

    Args:
        align: Aligns neighbours to frames, as `FlowGuidedDeform` does.
        x: (b, t, h, w, c).
        flows: For k = 1, 2, ... the flow into the k-th next frame, as `ParallelWarpStage` gets them.

    Returns:
        (b, t, h, w, c); zeros for the last frame.
    """
    frames = x.shape[1] - 1
    if not frames:
        return torch.zeros_like(x)
    padded = _append_zeros(x, len(flows) - 1)
    neighbours = torch.stack([padded[:, k : k + frames] for k in range(1, len(flows) + 1)], 2)
    later = torch.stack([_append_zeros(flow, frames - flow.shape[1]) for flow in flows], 2)
    aligned = align(x[:, :-1].flatten(0, 1), neighbours.flatten(0, 1), later.flatten(0, 1))
    return _append_zeros(aligned.unflatten(0, (-1, frames)), 1)


def _reshape(kind: str, in_dim: int, dim: int) -> nn.Sequential:
    """The change of resolution; the published keys count the rearrangement as the first module."""
    if kind == 'down':
        fold = Rearrange('b t (h i) (w j) c -> b t h w (j i c)', i=2, j=2)
        return nn.Sequential(fold, LayerNorm(4 * in_dim), Linear(4 * in_dim, dim))
    if kind == 'up':
        unfold = Rearrange('b t h w (j i c) -> b t (h i) (w j) c', i=2, j=2)
        return nn.Sequential(unfold, LayerNorm(in_dim // 4), Linear(in_dim // 4, dim))
    return nn.Sequential(nn.Identity(), LayerNorm(dim))


def _append_zeros(x: Tensor, count: int) -> Tensor:
    """Makes a clip longer by frames of zeros."""
    return F.pad(x, (0, 0) * (x.ndim - 2) + (0, count))
