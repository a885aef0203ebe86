"""Gather, mix, scatter: the block that gives Gather-Scatter Mamba its name (arXiv 2510.00862)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.bimamba import BiMamba
from gsm_plugin.layers.implicit_warp import CellProjections, ImplicitWarp
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.mlp import ConvMlp, ConvMlpWeights
from gsm_plugin.layers.precision import tf32_in_training
from gsm_plugin.ops import ScanParameters, SumAndNorm, flow_warp, residual_sum, scatter_norm

SSM_INITS = ('reference', 'mamba')
SCATTERS = ('all', 'anchor')


class SweepConstants(NamedTuple):
    """What does not change between the windows of a sweep; `mlp` is for `overwrite` alone."""

    implicit_warp: ImplicitWarp
    projections: CellProjections
    scan: ScanParameters
    mlp: ConvMlpWeights | None


class GatherScatterBlock(nn.Module):
    """Aligns the frames of a window to its anchor, mixes them by a bidirectional Mamba, and carries them back.

    Args:
        dim: Channels.
        mlp_ratio: Width of the feed-forward network relative to `dim`.
        scatter: `all` carries the result back to every frame, `anchor` updates the anchor alone.
        ssm_init: `reference` draws every Linear of the block from a truncated normal of std 0.02, with zero bias, as
            published; `mamba` keeps Mamba's own step sizes.
        recompute_attn: Compute the activations from gather to scatter again in the backward pass.
        recompute_ffn: The same for the feed-forward network.
        scan_backend: Backend of the scan.
        warp_backend: Backend of the flow warp that carries frames back.
    """

    def __init__(
        self,
        dim: int,
        mlp_ratio: int = 4,
        scatter: str = 'all',
        ssm_init: str = 'reference',
        recompute_attn: bool = False,
        recompute_ffn: bool = False,
        scan_backend: str = 'auto',
        warp_backend: str = 'auto',
    ) -> None:
        super().__init__()
        if scatter not in SCATTERS:
            raise ValueError(f'scatter is {scatter!r}; set one of {", ".join(SCATTERS)}.')
        if ssm_init not in SSM_INITS:
            raise ValueError(f'ssm_init is {ssm_init!r}; set one of {", ".join(SSM_INITS)}.')
        self.scatter, self.recompute_attn, self.recompute_ffn = scatter, recompute_attn, recompute_ffn
        self.warp_backend = warp_backend
        self.skip_scale = nn.Parameter(torch.ones(1, dim, 1, 1, 1))
        self.skip_scale2 = nn.Parameter(torch.ones(1, 1, dim))
        self.norm1 = LayerNorm(dim)
        self.mamba = BiMamba(dim, backend=scan_backend)
        self.norm2 = LayerNorm(dim)
        self.mlp = ConvMlp(dim, mlp_ratio * dim)
        self._reset(ssm_init)

    def constants(self, implicit_warp: ImplicitWarp, dtype: torch.dtype | None = None) -> SweepConstants:
        """What all windows of a sweep share.

        Args:
            implicit_warp: What gathers.
            dtype: The type of the windows, for `overwrite`; None for `forward`.
        """
        mlp = None if dtype is None else self.mlp.weights_in(dtype)
        return SweepConstants(implicit_warp, implicit_warp.projections(dtype), self.mamba.scan_parameters(), mlp)

    def forward(
        self, window: Tensor, gather_flow: Tensor, scatter_flow: Tensor, anchor: int, constants: SweepConstants
    ) -> Tensor:
        """Updates a window.

        Args:
            window: (b, k, h, w, dim).
            gather_flow: From the anchor's grid into each frame, (b, k, 2, h, w), pixels, x then y.
            scatter_flow: From each frame's grid into the anchor, (b, k, 2, h, w).
            anchor: Position of the anchor in the window.
            constants: Result of `constants`.

        Returns:
            (b, k, h, w, dim); with `scatter: anchor`, only the anchor differs from the input.
        """

        def mix(x: Tensor) -> Tensor:
            gathered = self.gather(x, gather_flow, anchor, constants)
            with tf32_in_training(gathered, torch.bfloat16) as kept:
                # the frames of a pixel next to each other
                tokens = self.norm1(gathered.permute(0, 2, 3, 1, 4))
                mixed = _frames_of(self.mamba(tokens.flatten(1, 3), constants.scan, kept), x)
            return self.carry_back(mixed, scatter_flow, anchor)

        scattered = checkpointing.run(mix, window, recompute=self.recompute_attn)
        x = checkpointing.run(self._feed_forward, window, scattered, recompute=self.recompute_ffn)
        if self.scatter == 'anchor':
            updated = window.to(x.dtype, copy=True)
            updated[:, anchor] = x[:, anchor]
            return updated
        return x

    def overwrite(
        self,
        window: Tensor,
        gather_flow: Tensor,
        scatter_flow: Tensor,
        anchor: int,
        constants: SweepConstants,
        wanted: slice,
    ) -> None:
        """Updates frames of a window where they are, without gradients.

        Args:
            window: (b, k, h, w, dim), the frames of a clip contiguous; the unwanted ones are of no use afterwards.
            gather_flow: As in `forward`.
            scatter_flow: As in `forward`.
            anchor: As in `forward`.
            constants: Result of `constants` for the type of the window.
            wanted: Frames whose update is wanted.
        """
        if self.scatter == 'anchor':
            window[:, anchor] = self(window, gather_flow, scatter_flow, anchor, constants)[:, anchor]
            return
        mixed = self._gather_and_mix(window, gather_flow, anchor, constants)
        # the convolution over time reads a frame on each side
        near = slice(max(wanted.start - 1, 0), min(wanted.stop + 1, window.shape[1]))
        parameters = SumAndNorm(
            self.skip_scale.flatten(),
            self.skip_scale2.flatten(),
            self.mlp.fc2.bias,
            self.norm2.weight,
            self.norm2.bias,
        )
        normed = scatter_norm(
            window[:, near],
            mixed[:, near],
            scatter_flow[:, near],
            parameters,
            self.norm2.eps,
            window.dtype,
            self.warp_backend,
        )
        wanted_of_near = slice(wanted.start - near.start, wanted.stop - near.start)
        self.mlp.add_all_but_bias(normed, wanted_of_near, window[:, wanted], constants.mlp)

    def gather(self, window: Tensor, flow: Tensor, anchor: int, constants: SweepConstants) -> Tensor:
        """Aligns every frame, the anchor included, to the anchor: (b, k, h, w, dim) -> the same."""
        frames, target = window.flatten(0, 1), window[:, anchor]
        aligned = constants.implicit_warp(frames, target, flow.flatten(0, 1), constants.projections)
        return aligned.view_as(window)

    def carry_back(self, aligned: Tensor, flow: Tensor, anchor: int) -> Tensor:
        """Warps every frame from the anchor's grid to its own (or to nothing, with `scatter: anchor`)."""
        if self.scatter == 'all':
            # the flow of the anchor is zero, which leaves it where it is
            return flow_warp(aligned.flatten(0, 1), flow.flatten(0, 1), self.warp_backend).view(aligned.shape)
        frames = [frame if i == anchor else torch.zeros_like(frame) for i, frame in enumerate(aligned.unbind(1))]
        return torch.stack(frames, 1)

    def _gather_and_mix(self, window: Tensor, flow: Tensor, anchor: int, constants: SweepConstants) -> Tensor:
        """What `overwrite` scatters, (b, k, h, w, dim)."""
        frames, target = window.flatten(0, 1), window[:, anchor]
        tokens = constants.implicit_warp.normed(
            frames, target, flow.flatten(0, 1), self.norm1, constants.projections
        ).flatten(1, 3)
        projected = self.mamba.in_proj(tokens)
        # their memory is for the scan, where most is in use
        del tokens
        return _frames_of(self.mamba.mix(projected, constants.scan), window)

    def _feed_forward(self, window: Tensor, scattered: Tensor) -> Tensor:
        x, normed = self.norm2.of_sum(window, scattered, self.skip_scale.flatten())
        return residual_sum(x, self.mlp(normed), self.skip_scale2.flatten())

    def _reset(self, ssm_init: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if ssm_init == 'mamba':
            self.mamba.reset_step_sizes()


def _frames_of(mixed: Tensor, window: Tensor) -> Tensor:
    """Tokens (b, h * w * k, dim) as the frames of a window that they belong to, (b, k, h, w, dim)."""
    b, k, h, w, dim = window.shape
    return mixed.view(b, h, w, k, dim).permute(0, 3, 1, 2, 4)
