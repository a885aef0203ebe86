"""Gather, mix, scatter: the block that gives Gather-Scatter Mamba its name (arXiv 2510.00862)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gsm_plugin.layers import checkpointing
from gsm_plugin.layers.bimamba import BiMamba
from gsm_plugin.layers.layer_norm import LayerNorm, sum_and_norm
from gsm_plugin.layers.mlp import ConvMlp
from gsm_plugin.layers.precision import training_policy
from gsm_plugin.ops import flow_warp, residual_sum

SSM_INITS = ('reference', 'mamba')
SCATTERS = ('all', 'anchor')


class GatherScatterBlock(nn.Module):
    """Aligns the frames of a window to its anchor, mixes them by a bidirectional Mamba, and carries them back.

    Args:
        dim: Channels.
        mlp_ratio: Width of the feed-forward network relative to `dim`.
        scatter: `all` carries the result back to every frame, `anchor` updates the anchor alone.
        ssm_init: Every Linear of the block is drawn from a truncated normal of std 0.02, with zero bias. `reference`
            leaves it so, as published; `mamba` then draws step sizes as Mamba does.
        recompute_attn: Compute the activations from gather to scatter again in the backward pass; the published name.
        recompute_ffn: The same for the feed-forward network.
        scan_backend: Backend of the scan; see `gsm_plugin.ops.bidirectional_scan`.
        warp_backend: Backend of the flow warp that carries frames back; see `gsm_plugin.ops.flow_warp`.
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
        self.updates_all = scatter == 'all'
        self.recompute_attn, self.recompute_ffn = recompute_attn, recompute_ffn
        self.warp_backend = warp_backend
        self.skip_scale = nn.Parameter(torch.ones(1, dim, 1, 1, 1))
        self.skip_scale2 = nn.Parameter(torch.ones(1, 1, dim))
        self.norm1 = LayerNorm(dim)
        self.mamba = BiMamba(dim, backend=scan_backend)
        self.norm2 = LayerNorm(dim)
        self.mlp = ConvMlp(dim, mlp_ratio * dim)
        self._reset(ssm_init)

    def forward(
        self,
        window: Tensor,
        gather_flow: Tensor,
        scatter_flow: Tensor,
        anchor: int,
        implicit_warp: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        """Updates a window of k frames: `x = skip_scale * window + scatter(BiMamba(LN(gather(window))))`, then
        `skip_scale2 * x + MLP(LN(x))`.

        Both warps read, and nothing is splatted: gather by attention to the four pixels around a place, scatter
        bilinearly. What lies outside of a frame is zero to scatter; gather takes the nearest pixels there.

        Args:
            window: (b, k, h, w, dim).
            gather_flow: (b, k, 2, h, w), pixels, x then y; for pixel p of the anchor, frame i is read at
                `p + gather_flow[:, i, :, p]`. Zero for the anchor.
            scatter_flow: (b, k, 2, h, w), likewise; for pixel p of frame i, what was mixed for this frame on the
                anchor's grid is read at `p + scatter_flow[:, i, :, p]`.
            anchor: Position of the anchor in the window.
            implicit_warp: What gathers, an `ImplicitWarp`; all blocks of a network share one.

        Returns:
            (b, k, h, w, dim); with `scatter: anchor`, only the anchor differs from the input.
        """

        def gather_mix_scatter(x: Tensor) -> Tensor:
            gathered = self.gather(x, gather_flow, anchor, implicit_warp)
            return self.scatter(self.mix(gathered), scatter_flow, anchor)

        scattered = checkpointing.run(gather_mix_scatter, window, recompute=self.recompute_attn)
        x = checkpointing.run(self._feed_forward, window, scattered, recompute=self.recompute_ffn)
        if self.updates_all:
            return x
        updated = window.to(x.dtype, copy=True)
        updated[:, anchor] = x[:, anchor]
        return updated

    def gather(self, window: Tensor, flow: Tensor, anchor: int, implicit_warp: Callable[..., Tensor]) -> Tensor:
        """Aligns every frame, the anchor included, to the anchor: (b, k, h, w, dim) -> the same.

        Afterwards pixel (y, x) shows the same point of the scene in all k frames, as far as the flows are right and the
        point is not occluded. The anchor goes through the same warp, with a flow of zero, so that it has passed the
        same layers as the others.
        """
        frames, target = window.flatten(0, 1), window[:, anchor]
        return implicit_warp(frames, target, flow.flatten(0, 1)).view_as(window)

    def mix(self, gathered: Tensor) -> Tensor:
        """Scans all h * w * k tokens as one sequence: pixels row by row, the k frames of a pixel one after the other.

        (b, k, h, w, dim) -> the same.
        """
        # the types to compute in, out of the table in precision.py
        policy = training_policy(gathered)
        with policy.scan.on(gathered):
            tokens = self.norm1(gathered.permute(0, 2, 3, 1, 4))
            return frames_of(self.mamba(tokens.flatten(1, 3), policy.scan_steps), gathered)

    def scatter(self, mixed: Tensor, flow: Tensor, anchor: int) -> Tensor:
        """Warps every frame from the anchor's grid back to its own: (b, k, h, w, dim) -> the same.

        With `scatter: anchor`, the others get zeros.
        """
        if self.updates_all:
            return flow_warp(mixed.flatten(0, 1), flow.flatten(0, 1), self.warp_backend).view(mixed.shape)
        frames = [frame if i == anchor else torch.zeros_like(frame) for i, frame in enumerate(mixed.unbind(1))]
        return torch.stack(frames, 1)

    def _feed_forward(self, window: Tensor, scattered: Tensor) -> Tensor:
        """`x = skip_scale * window + scattered`, then `skip_scale2 * x + MLP(LN(x))`."""
        with training_policy(window).feed_forward.on(window):
            x, normed = sum_and_norm(window, scattered, self.norm2, self.skip_scale.flatten())
            return residual_sum(x, self.mlp(normed), self.skip_scale2.flatten())

    def _reset(self, ssm_init: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if ssm_init == 'mamba':
            self.mamba.reset_step_sizes()


def frames_of(tokens: Tensor, window: Tensor) -> Tensor:
    """Tokens (b, h * w * k, dim) as the frames of a window that they belong to, (b, k, h, w, dim)."""
    b, k, h, w, dim = window.shape
    return tokens.view(b, h, w, k, dim).permute(0, 3, 1, 2, 4)
