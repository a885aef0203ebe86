"""Gather-Scatter Mamba, a video super-resolution network (arXiv 2510.00862), for weights of its published code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.archs.fast_path import fast_without_gradients
from gsm_plugin.archs.flow_estimation import build_spynet, estimate_flows
from gsm_plugin.fast.cuda_graphs import GraphedInference, GraphedTraining
from gsm_plugin.fast.gsm import FastGSM
from gsm_plugin.layers.diagnostics import attention_to_positions, describe_blocks
from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.memory_format import for_convolutions
from gsm_plugin.layers.precision import training_policy
from gsm_plugin.layers.propagation import PropagationLayer
from gsm_plugin.layers.spynet import SpyNet
from gsm_plugin.layers.upsample import FrameConv, Upsample
from gsm_plugin.layers.window_attention import AttentionGroup, Size3d, size_3d
from gsm_plugin.ops import COMPOSITIONS, compose_window_flows
from gsm_plugin.ops.dispatch import require_known_backend

ANCHORS = ('center', 'forward')
_UPSAMPLE_DIM = 64


class GSMamba(nn.Module):
    """Shifted-window attention, then a sweep of temporal windows that are gathered, mixed and scattered.

    Keys and shapes of the state dict are those of the published implementation.

    Args:
        upscale: Factor between input and output: 1, 2, 3, 4 or 8.
        in_chans: Colours of the input; SPyNet needs 3.
        out_chans: Colours of the output, as many as of the input, which is added to it.
        prop_depth: Number of layers, even, since each one sweeps against the one before it.
        attn_depth: Attention blocks of a layer.
        pa_frame: Neighbours on each side of a temporal window, which has 2 * pa_frame + 1 frames.
        embed_dims: Channels, a multiple of 4 and of num_heads.
        num_heads: Heads of the attention and of the implicit warp.
        window_size: Frames, height and width of the windows of the attention.
        drop_path_rate: Accepted because published option files have it; it has no effect there either.
        use_checkpoint_attn: Compute activations of attention, gather, scan and scatter again in the backward pass.
        use_checkpoint_ffn: The same for the feed-forward networks.
        is_train: Accepted because published option files have it; it has no effect there either.
        spynet_path: Weights of the flow network; None starts from random ones.
        anchor: Which frame of a window the others are aligned to: center, or forward (the last of the window).
        scatter: all carries the result back to every frame of a window, anchor updates the anchor alone.
        flow_composition: How flows are chained: exact reads each on its own grid; reference in the published order,
            which errs for frames that are no neighbours.
        ssm_init: reference draws the step sizes of the scan as published, mamba as Mamba does.
        scan_backend: auto, triton, mamba_ssm, numba, torch or naive.
        warp_backend: auto, triton, torch or naive, for gather and scatter.
        attention_backend: auto, triton, torch or naive.
        cuda_graphs: Run everything, in training but the flow network, as CUDA graphs: faster where frames are so small
            that the GPU waits for launches. Training batches must have one shape; no effect on other devices.

    Raises:
        ValueError: A value is not among these.
    """

    def __init__(
        self,
        upscale: int = 4,
        in_chans: int = 3,
        out_chans: int = 3,
        prop_depth: int = 4,
        attn_depth: int = 2,
        pa_frame: int = 2,
        embed_dims: int = 144,
        num_heads: int = 8,
        window_size: Size3d = (2, 8, 8),
        drop_path_rate: float = 0.2,
        use_checkpoint_attn: bool = True,
        use_checkpoint_ffn: bool = True,
        is_train: bool = True,
        spynet_path: str | Path | None = None,
        anchor: str = 'center',
        scatter: str = 'all',
        flow_composition: str = 'reference',
        ssm_init: str = 'reference',
        scan_backend: str = 'auto',
        warp_backend: str = 'auto',
        attention_backend: str = 'auto',
        cuda_graphs: bool = False,
    ) -> None:
        super().__init__()
        numbers = {
            'in_chans': in_chans, 'out_chans': out_chans, 'prop_depth': prop_depth, 'attn_depth': attn_depth,
            'pa_frame': pa_frame, 'embed_dims': embed_dims, 'num_heads': num_heads,
        }  # fmt: skip
        _check_whole(numbers)
        _check_sizes(**numbers)
        _check_window(window_size)
        _check_names('anchor', anchor, ANCHORS)
        _check_names('flow_composition', flow_composition, COMPOSITIONS)
        require_known_backend('bidirectional_scan', scan_backend)
        require_known_backend('flow_warp', warp_backend)
        require_known_backend('window_attention', attention_backend)
        self.upscale, self.in_chans, self.pa_frame = upscale, in_chans, pa_frame
        self.anchor = pa_frame if anchor == 'center' else 2 * pa_frame
        self.flow_composition = flow_composition
        recompute: dict[str, Any] = {'recompute_attn': use_checkpoint_attn, 'recompute_ffn': use_checkpoint_ffn}

        self.conv_first = FrameConv(in_chans, embed_dims)
        self.prop_layers = nn.ModuleList(
            PropagationLayer(
                AttentionGroup(
                    embed_dims, attn_depth, num_heads, size_3d(window_size), backend=attention_backend, **recompute
                ),
                GatherScatterBlock(
                    embed_dims,
                    scatter=scatter,
                    ssm_init=ssm_init,
                    scan_backend=scan_backend,
                    warp_backend=warp_backend,
                    **recompute,
                ),
            )
            for _ in range(prop_depth)
        )
        self.implicit_align = ImplicitWarp(embed_dims, num_heads, warp_backend)
        self.norm = LayerNorm(embed_dims)
        self.conv_after_body = Linear(embed_dims, embed_dims)
        self.conv_before_upsample = nn.Sequential(FrameConv(embed_dims, _UPSAMPLE_DIM), nn.LeakyReLU())
        self.upsample = Upsample(upscale, _UPSAMPLE_DIM)
        self.conv_last = FrameConv(_UPSAMPLE_DIM, out_chans)
        # in training without the flow network, which is frozen at first
        training = tuple(self.children())
        self.enhance_by_graphs = GraphedTraining(self.enhance, training) if cuda_graphs else self.enhance
        self.spynet = build_spynet(spynet_path)
        inference = tuple(self.children())
        self.restore_by_graphs = GraphedInference(self.restore, inference) if cuda_graphs else self.restore
        # called in training with a clip and its flows, as `enhance` takes them
        self.flow_observer: Callable[[Tensor, Tensor, Tensor], None] | None = None

    # tracing hundreds of windows takes minutes, and their kernels and CUDA graphs leave nothing to gain
    @torch.compiler.disable(reason='GSMamba is made of fused kernels; cuda_graphs: true spares its launches')
    @fast_without_gradients
    def forward(self, lq: Tensor, flows: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Enlarges a clip: flows, then `enhance`, which is the network.

        With gradients, what is written here and in `gsm_plugin.layers` runs. Without, `fast_without_gradients` has
        `gsm_plugin.fast` compute the same by fused kernels; tests hold it to this. `torch.compile` leaves both alone.

        Args:
            lq: (b, t, in_chans, h, w), in [0, 1], of any length and size.
            flows: What to take in place of the result of `estimate_flows`; None to estimate them.

        Returns:
            (b, t, out_chans, h * upscale, w * upscale).

        Raises:
            ValueError: The input is not a clip, has another number of colours, or is empty.
        """
        self.check_input(lq)
        if flows is not None:
            return self.enhance(lq, *flows)
        if not torch.is_grad_enabled():
            # a policy of plain autocast; all else without gradients is with `fast`, and never comes here
            return self.restore(lq)
        flows = self.estimate_flows(lq)
        if self.flow_observer is not None:
            self.flow_observer(lq, *flows)
        return self.enhance_by_graphs(lq, *flows)

    def fast(self) -> FastGSM:
        """What computes the same without gradients."""
        return FastGSM(self)

    def check_input(self, lq: Tensor) -> None:
        """Raises the ValueError of `forward`."""
        if lq.ndim != 5 or lq.shape[2] != self.in_chans or 0 in lq.shape:
            raise ValueError(f'GSMamba got an input of shape {tuple(lq.shape)}; give (b, t, {self.in_chans}, h, w).')

    @fast_without_gradients
    def restore(self, lq: Tensor) -> Tensor:
        """Enlarges a clip (b, t, in_chans, h, w), as `forward` does, without CUDA graphs."""
        return self.enhance(lq, *self.estimate_flows(lq))

    @fast_without_gradients
    def enhance(self, lq: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> Tensor:
        """Enlarges a clip (b, t, in_chans, h, w) whose flows are known: `estimate_flows` says how they point."""
        shape = lq.shape[:2]
        frames = lq.flatten(0, 1)
        # contiguous, as everything up to the reconstruction reads and writes
        deep = self._propagate(self._embed(frames).contiguous().unflatten(0, shape), flows_backward, flows_forward)
        return self._reconstruct(deep.flatten(0, 1), frames).unflatten(0, shape)

    @fast_without_gradients
    def estimate_flows(self, lq: Tensor, flow_network: SpyNet | None = None) -> tuple[Tensor, Tensor]:
        """Estimates flows_backward and flows_forward of a clip, both (b, t - 1, 2, h, w), pixels, x then y.

        As in BasicVSR they are named after the propagation that they serve: flows_backward lie on the grid of frame i
        and point into frame i + 1, flows_forward lie on that of frame i + 1 and point into frame i.

        Args:
            lq: (b, t, in_chans, h, w), in [0, 1].
            flow_network: A SPyNet to take in place of the network's own; None for that one.
        """
        return estimate_flows(self.spynet if flow_network is None else flow_network, lq)

    def window_flows(self, flows_backward: Tensor, flows_forward: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Gather and scatter flows of all windows, see `compose_window_flows`, for layers that sweep forth and back."""
        pairs = (flows_backward, flows_forward), (flows_forward.flip(1), flows_backward.flip(1))
        return tuple(compose_window_flows(*pair, self.pa_frame, self.anchor, self.flow_composition) for pair in pairs)

    def diagnose(self) -> dict[str, float]:
        """Numbers that tell whether parts of the network have died; see `gsm_plugin.layers.diagnostics`."""
        blocks = [module for module in self.prop_layers.modules() if isinstance(module, GatherScatterBlock)]
        return {'warp_positions': attention_to_positions(self.implicit_align), **describe_blocks(blocks)}

    def _propagate(self, features: Tensor, flows_backward: Tensor, flows_forward: Tensor) -> Tensor:
        """Runs the layers over features (b, t, h, w, c); each reverses the clip, so every second one sweeps back."""
        window_flows = self.window_flows(flows_backward, flows_forward)
        for i, layer in enumerate(self.prop_layers):
            features = layer(features, *window_flows[i % 2], self.anchor, self.implicit_align)
        return features

    def _embed(self, frames: Tensor) -> Tensor:
        """Features before the layers, (n, in_chans, h, w) -> (n, h, w, c)."""
        # here as in all layers: the types to compute in, out of the table in gsm_plugin/layers/precision.py
        with training_policy(frames).ends.on(frames):
            return self.conv_first(for_convolutions(frames)).permute(0, 2, 3, 1)

    def _reconstruct(self, deep: Tensor, frames: Tensor) -> Tensor:
        """Output frames from input frames (n, in_chans, h, w) and features after the layers (n, h, w, c)."""
        # computed again, since to keep features of all frames costs more than this convolution of three colours; here
        # and below, the first addend decides on the order of memory
        with training_policy(frames).ends.on(frames):
            features = (self.conv_after_body(self.norm(deep)) + self._embed(frames)).permute(0, 3, 1, 2)
            images = F.interpolate(frames, scale_factor=self.upscale, mode='bilinear', align_corners=False)
            return images + self.conv_last(self.upsample(self.conv_before_upsample(for_convolutions(features))))


def _check_sizes(
    in_chans: int, out_chans: int, prop_depth: int, attn_depth: int, pa_frame: int, embed_dims: int, num_heads: int
) -> None:
    if in_chans != 3 or out_chans != in_chans:
        raise ValueError(
            f'in_chans is {in_chans} and out_chans {out_chans}; set both to 3, for SPyNet estimates the flow between '
            f'RGB frames and the output is added to the enlarged input.'
        )
    if prop_depth < 2 or prop_depth % 2:
        raise ValueError(
            f'prop_depth is {prop_depth}; set an even number from 2 up, for every layer reverses the clip in time.'
        )
    if attn_depth < 0 or pa_frame < 0:
        raise ValueError(f'attn_depth is {attn_depth} and pa_frame {pa_frame}; neither can be negative.')
    if num_heads < 1 or embed_dims < 1 or embed_dims % num_heads or embed_dims % 4:
        raise ValueError(
            f'embed_dims is {embed_dims} with num_heads {num_heads}; set a multiple of num_heads and of 4.'
        )


def _check_whole(numbers: dict[str, int]) -> None:
    for key, value in numbers.items():
        if type(value) is not int:
            raise ValueError(f'{key} is {value!r}; set a whole number.')


def _check_window(window_size: Size3d) -> None:
    sides = list(window_size) if isinstance(window_size, list | tuple) else []
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f'window_size is {window_size!r}; set frames, height and width, such as [2, 8, 8].')


def _check_names(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f'{key} is {value!r}; set one of {", ".join(known)}.')
