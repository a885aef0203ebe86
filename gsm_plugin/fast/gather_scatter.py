"""Gather, mix, scatter without gradients: a window of frames is overwritten where it is."""

from typing import cast

import torch
from torch import Tensor

from gsm_plugin.fast.implicit_warp import FastImplicitWarp
from gsm_plugin.layers.gather_scatter import GatherScatterBlock, frames_of
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.layer_norm import sum_and_norm
from gsm_plugin.layers.mlp import ConvMlp
from gsm_plugin.layers.precision import Policy, without_autocast
from gsm_plugin.ops import (
    ConvFeedForward,
    SumAndNorm,
    bidirectional_scan,
    conv_feed_forward,
    mamba_mixer,
    residual_sum,
    scatter_norm,
)


class FastGatherScatter:
    """`GatherScatterBlock` for the windows of a sweep, with what they share made once.

    Args:
        block: The layer.
        warp: What gathers.
        policy: How it is computed.
        dtype: Type of the windows.
    """

    def __init__(self, block: GatherScatterBlock, warp: ImplicitWarp, policy: Policy, dtype: torch.dtype) -> None:
        self._block, self._policy = block, policy
        self._mlp_dtype = policy.factors(policy.feed_forward, dtype)
        self._mlp = feed_forward_parameters(block.mlp, self._mlp_dtype)
        self._warp = FastImplicitWarp(warp, policy, dtype)
        self._scan = block.mamba.scan_parameters()

    def overwrite(self, window: Tensor, gather_flow: Tensor, scatter_flow: Tensor, anchor: int, wanted: slice) -> None:
        """Updates frames of a window where they are.

        Args:
            window: (b, k, h, w, dim), the frames of a clip contiguous; the unwanted ones are of no use afterwards.
            gather_flow: As in `GatherScatterBlock`.
            scatter_flow: As in `GatherScatterBlock`.
            anchor: As in `GatherScatterBlock`.
            wanted: Frames whose update is wanted.
        """
        if not self._block.updates_all:
            self._overwrite_anchor(window, gather_flow, scatter_flow, anchor)
            return
        block = self._block
        mixed = self._gather_and_mix(window, gather_flow, anchor)
        # the convolution over time reads a frame on each side
        near = slice(max(wanted.start - 1, 0), min(wanted.stop + 1, window.shape[1]))
        parameters = SumAndNorm(
            block.skip_scale.flatten(),
            block.skip_scale2.flatten(),
            block.mlp.fc2.bias,
            block.norm2.weight,
            block.norm2.bias,
        )
        normed = scatter_norm(
            window[:, near],
            mixed[:, near],
            scatter_flow[:, near],
            parameters,
            block.norm2.eps,
            self._mlp_dtype,
            block.warp_backend,
        )
        wanted_of_near = slice(wanted.start - near.start, wanted.stop - near.start)
        with without_autocast(window):
            conv_feed_forward(normed, self._mlp, wanted_of_near, window[:, wanted])

    def _gather_and_mix(self, window: Tensor, flow: Tensor, anchor: int) -> Tensor:
        """What is scattered, (b, k, h, w, dim)."""
        frames, target = window.flatten(0, 1), window[:, anchor]
        with self._policy.scan.on(window):
            tokens = self._warp.normed(frames, target, flow.flatten(0, 1), self._block.norm1).flatten(1, 3)
            mamba = self._block.mamba
            if tokens.is_cpu and mamba.backend == 'auto':
                mixed = mamba_mixer(tokens, mamba.in_proj.weight, self._scan, mamba.out_proj.weight)
                return frames_of(mixed, window)
            projected = mamba.in_proj(tokens).chunk(2, -1)
            # their memory is for the scan, where most is in use
            del tokens
            return frames_of(self._mix(*projected), window)

    def _mix(self, inner: Tensor, z: Tensor) -> Tensor:
        """What `BiMamba` does after `in_proj`: (b, l, d_inner) twice -> (b, l, d_model)."""
        mamba = self._block.mamba
        return mamba.out_proj(bidirectional_scan(inner, z, self._scan, mamba.backend))

    def _overwrite_anchor(self, window: Tensor, gather_flow: Tensor, scatter_flow: Tensor, anchor: int) -> None:
        """With `scatter: anchor`, which has no fused ops, but the types of inference."""
        block = self._block
        scattered = self._gather_mix_scatter(window, gather_flow, scatter_flow, anchor)
        # the feed-forward network follows autocast here
        x, normed = sum_and_norm(window, scattered, block.norm2, block.skip_scale.flatten())
        x = residual_sum(x, block.mlp(normed), block.skip_scale2.flatten())
        window[:, anchor] = x[:, anchor]

    def _gather_mix_scatter(self, window: Tensor, gather_flow: Tensor, scatter_flow: Tensor, anchor: int) -> Tensor:
        block = self._block
        gathered = block.gather(window, gather_flow, anchor, self._warp)
        with self._policy.scan.on(window):
            tokens = block.norm1(gathered.permute(0, 2, 3, 1, 4))
            mixed = frames_of(self._mix(*self._block.mamba.in_proj(tokens.flatten(1, 3)).chunk(2, -1)), window)
        return block.scatter(mixed, scatter_flow, anchor)


def feed_forward_parameters(mlp: ConvMlp, dtype: torch.dtype) -> ConvFeedForward:
    """Parameters of `ConvMlp`, matrices in the type in which they are multiplied."""
    # taps contiguous over channels, as kernels read them
    taps = mlp.dwconv.dwconv.weight[:, 0].movedim(0, -1).contiguous().movedim(-1, 0)
    inner, inner_bias, out = (x.to(dtype) for x in (mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight))
    return ConvFeedForward(inner, inner_bias, taps, cast(Tensor, mlp.dwconv.dwconv.bias), out)
