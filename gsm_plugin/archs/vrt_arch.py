"""Video Restoration Transformer (VRT, arXiv 2201.12288), for weights of its published code."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.archs.fast_path import fast_without_gradients
from gsm_plugin.archs.flow_estimation import build_spynet, estimate_flow_pyramids
from gsm_plugin.archs.vrt_checks import check_names_and_numbers, check_stages
from gsm_plugin.fast.vrt import FastVRT
from gsm_plugin.layers.layer_norm import LayerNorm
from gsm_plugin.layers.linear import Linear
from gsm_plugin.layers.upsample import FrameConv, Upsample
from gsm_plugin.layers.vrt_stages import ParallelWarpStage, ResidualAttentionGroup
from gsm_plugin.layers.window_attention import size_3d
from gsm_plugin.ops import compose_reaching_flows, extend_by_reflection, surrounding_pixels

# The stages of the U-shaped part: how each one changes the resolution, and the level of the pyramid that it works at.
_RESHAPES = ('none', 'down', 'down', 'down', 'up', 'up', 'up')
_LEVELS = (0, 1, 2, 3, 2, 1, 0)
_COARSEST = 2 ** max(_LEVELS)
_UPSAMPLE_DIM = 64


class VRT(nn.Module):
    """Attention within pairs and windows of frames at four resolutions, with warped neighbours fused in between.

    Keys and shapes of the state dict are those of the published implementation.

    Args:
        upscale: Factor between input and output: 1 (deblurring, denoising), 2, 3, 4 or 8.
        in_chans: Colours of the input; SPyNet needs 3.
        out_chans: Colours of the output, as many as of the input, which is added to it.
        img_size: Accepted because published option files have it; it has no effect there either.
        window_size: Frames, height and width of an attention window.
        depths: Attention blocks of each stage: seven of the U-shaped part, then one or more at full resolution.
        indep_reconsts: Stages from the eighth (7) on whose windows have one frame. Stages that the network does not
            have are passed over.
        embed_dims: Channels of each stage; the same at the two ends of each skip connection.
        num_heads: Heads of each stage.
        mul_attn_ratio: Part of the blocks of the first seven stages that have mutual attention, rounded down.
        mlp_ratio: Width of the feed-forward networks relative to the channels.
        qkv_bias: Whether query, key and value have a bias.
        drop_path_rate: Probability that training leaves out a branch of the last block; it grows linearly from 0.
        spynet_path: Weights of the flow network; None starts from random ones.
        pa_frames: Neighbours that are warped to a frame: 2, 4 or 6, half of them on each side.
        deformable_groups: Groups of the neighbours' channels, each with sampling places of its own.
        nonblind_denoising: The input has a fourth channel, the level of the noise.
        use_checkpoint_attn: Compute activations of attention again in the backward pass.
        use_checkpoint_ffn: The same for the feed-forward networks.
        no_checkpoint_attn_blocks: Stages, from 0, without `use_checkpoint_attn`.
        no_checkpoint_ffn_blocks: Stages, from 0, without `use_checkpoint_ffn`.
        pad_frames: Repeat the last frame until the windows are full, and drop the repetitions from the output: the
            published protocol for the 7 frames of Vimeo-90K. Otherwise windows shrink to a shorter clip, and are
            filled up with zeros for a longer one.
        warp_backend: auto, triton, torch or naive.
        attention_backend: auto, triton, torch or naive.

    Raises:
        ValueError: A value is not among these, or they do not belong together.
    """

    levels = _LEVELS

    def __init__(
        self,
        upscale: int = 4,
        in_chans: int = 3,
        out_chans: int = 3,
        img_size: Sequence[int] = (6, 64, 64),
        window_size: Sequence[int] = (6, 8, 8),
        depths: Sequence[int] = (8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4, 4, 4),
        indep_reconsts: Sequence[int] = (11, 12),
        embed_dims: Sequence[int] = (120, 120, 120, 120, 120, 120, 120, 180, 180, 180, 180, 180, 180),
        num_heads: Sequence[int] = (6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6),
        mul_attn_ratio: float = 0.75,
        mlp_ratio: float = 2.0,
        qkv_bias: bool = True,
        drop_path_rate: float = 0.2,
        spynet_path: str | Path | None = None,
        pa_frames: int = 2,
        deformable_groups: int = 16,
        nonblind_denoising: bool = False,
        use_checkpoint_attn: bool = False,
        use_checkpoint_ffn: bool = False,
        no_checkpoint_attn_blocks: Sequence[int] = (),
        no_checkpoint_ffn_blocks: Sequence[int] = (),
        pad_frames: bool = False,
        warp_backend: str = 'auto',
        attention_backend: str = 'auto',
    ) -> None:
        super().__init__()
        check_names_and_numbers(
            upscale, in_chans, out_chans, window_size, mul_attn_ratio, mlp_ratio, drop_path_rate, pa_frames,
            warp_backend, attention_backend,
        )  # fmt: skip
        check_stages(depths, embed_dims, num_heads, indep_reconsts, mul_attn_ratio)
        self.upscale, self.pa_frames, self.channels = upscale, pa_frames, in_chans + nonblind_denoising
        sides = size_3d(window_size)
        self.frame_multiple = sides[0] if pad_frames else 1
        self.least_frames = 2 if any(int(depth * mul_attn_ratio) for depth in depths[:7]) else 1
        drop_paths = torch.linspace(0, drop_path_rate, sum(depths), device='cpu').split(list(depths))

        def options(i: int) -> dict:
            """What the stages have in common."""
            return {
                'dim': embed_dims[i],
                'depth': depths[i],
                'num_heads': num_heads[i],
                'drop_paths': drop_paths[i].tolist(),
                'mlp_ratio': mlp_ratio,
                'qkv_bias': qkv_bias,
                'recompute_attn': use_checkpoint_attn and i not in no_checkpoint_attn_blocks,
                'recompute_ffn': use_checkpoint_ffn and i not in no_checkpoint_ffn_blocks,
                'backend': attention_backend,
            }

        # A frame, and the four pixels around where the flow points to in each of its two neighbours.
        self.conv_first = FrameConv(in_chans * (1 + 2 * 4) + nonblind_denoising, embed_dims[0])
        self.spynet = build_spynet(spynet_path)
        for i, (reshape, level) in enumerate(zip(_RESHAPES, _LEVELS, strict=True)):
            stage = ParallelWarpStage(
                in_dim=embed_dims[i - 1],
                window_size=sides,
                mutual_ratio=mul_attn_ratio,
                reshape=reshape,
                scale=2**level,
                neighbours=pa_frames // 2,
                deformable_groups=deformable_groups,
                warp_backend=warp_backend,
                **options(i),
            )
            self.add_module(f'stage{i + 1}', stage)
        widen = nn.Sequential(nn.Identity(), LayerNorm(embed_dims[6]), Linear(embed_dims[6], embed_dims[7]))
        self.stage8 = nn.ModuleList([widen])
        for i in range(7, len(depths)):
            window = (1, *sides[1:]) if i in indep_reconsts else sides
            self.stage8.append(ResidualAttentionGroup(window_size=window, **options(i)))
        self.norm = LayerNorm(embed_dims[-1])
        self.conv_after_body = Linear(embed_dims[-1], embed_dims[0])
        if upscale != 1:
            self.conv_before_upsample = nn.Sequential(FrameConv(embed_dims[0], _UPSAMPLE_DIM), nn.LeakyReLU())
            self.upsample = Upsample(upscale, _UPSAMPLE_DIM)
        self.conv_last = FrameConv(embed_dims[0] if upscale == 1 else _UPSAMPLE_DIM, out_chans)

    @fast_without_gradients
    def forward(self, lq: Tensor) -> Tensor:
        """Enlarges a clip.

        Args:
            lq: (b, t, in_chans, h, w), in [0, 1], of any length and size; with `nonblind_denoising`, a fourth channel
                has the level of the noise.

        Returns:
            (b, t, out_chans, h * upscale, w * upscale).

        Raises:
            ValueError: The input is not a clip, has another number of channels, or is empty.
        """
        self.check_input(lq)
        frames, height, width = lq.shape[1], *lq.shape[3:]
        lq = self.fill_up(lq)
        clip = lq[:, :, :3]
        flows_backward, flows_forward = self.estimate_flows(clip)
        features = self.embed(lq, flows_backward[0][0], flows_forward[0][0])
        deep = self.propagate(features, flows_backward, flows_forward)
        features = (features + self.conv_after_body(self.norm(deep)))[:, :frames].permute(0, 1, 4, 2, 3)
        output = self._reconstruct(features.flatten(0, 1), clip[:, :frames].flatten(0, 1))
        return output.unflatten(0, (-1, frames))[..., : height * self.upscale, : width * self.upscale]

    def fast(self) -> FastVRT:
        """What computes the same without gradients."""
        return FastVRT(self)

    def check_input(self, lq: Tensor) -> None:
        """Raises the ValueError of `forward`."""
        if lq.ndim != 5 or lq.shape[2] != self.channels or 0 in lq.shape:
            raise ValueError(f'VRT got an input of shape {tuple(lq.shape)}; give (b, t, {self.channels}, h, w).')

    @fast_without_gradients
    def estimate_flows(self, clip: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Estimates the flows between frames up to pa_frames / 2 apart, at four resolutions.

        Args:
            clip: (b, t, 3, h, w) with sides that are multiples of 8.

        Returns:
            flows_backward and flows_forward, by level from fine to coarse and by k = 1, 2, ...: from the grid of
            frame i into frame i + k, and from that of i + k into i, (b, t - k, 2, h, w) in pixels of the level.
        """
        return self.compose_flows(*estimate_flow_pyramids(self.spynet, clip, 1 + max(self.levels)))

    def compose_flows(
        self, backward: list[Tensor], forward: list[Tensor]
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """What `estimate_flows` returns, from the flows between neighbouring frames by level."""
        reach = self.pa_frames // 2
        reached = [compose_reaching_flows(flow, reach) for flow in backward]
        mirrored = [compose_reaching_flows(flow.flip(1), reach) for flow in forward]
        return reached, [[flow.flip(1) for flow in level] for level in mirrored]

    def propagate(self, x: Tensor, flows_backward: list[list[Tensor]], flows_forward: list[list[Tensor]]) -> Tensor:
        """Runs the stages over features (b, t, h, w, c), with the flows of `estimate_flows`."""
        skipped: list[Tensor] = []
        for i, level in enumerate(self.levels):
            if i > 4:
                x = x + skipped[self.levels[i - 1]]
            x = self.get_submodule(f'stage{i + 1}')(x, flows_backward[level], flows_forward[level])
            if i < 3:
                skipped.append(x)
        x = x + skipped[0]
        for stage in self.stage8:
            x = stage(x)
        return x

    def fill_up(self, x: Tensor) -> Tensor:
        """Reflects sides to multiples of the coarsest pixel, and repeats the last frame as often as it takes."""
        for axis in (-2, -1):
            x = extend_by_reflection(x, axis, x.shape[axis] + -x.shape[axis] % _COARSEST)
        frames = max(self.least_frames, x.shape[1] + -x.shape[1] % self.frame_multiple)
        return torch.cat((x, x[:, -1:].expand(-1, frames - x.shape[1], -1, -1, -1)), 1)

    def embed(self, x: Tensor, flow_backward: Tensor, flow_forward: Tensor) -> Tensor:
        """Features before the stages, (b, t, h, w, c), of frames and what their neighbours hold of them."""
        seen = self._see_neighbours(x, flow_backward, flow_forward)
        return self.conv_first(seen.flatten(0, 1)).unflatten(0, x.shape[:2]).permute(0, 1, 3, 4, 2)

    def _see_neighbours(self, x: Tensor, flow_backward: Tensor, flow_forward: Tensor) -> Tensor:
        """Adds to each frame what the next and the previous one hold of it; zeros at the ends."""
        b, t = x.shape[:2]
        clip = x[:, :, :3]
        pairs = (clip[:, 1:], flow_backward), (clip[:, :-1], flow_forward)
        later, earlier = (
            surrounding_pixels(frames.flatten(0, 1), flow.flatten(0, 1)).unflatten(0, (b, t - 1))
            for frames, flow in pairs
        )
        later, earlier = (F.pad(part, (0, 0) * 3 + ends) for part, ends in ((later, (0, 1)), (earlier, (1, 0))))
        return torch.cat((clip, later, earlier, x[:, :, 3:]), 2)

    def _reconstruct(self, features: Tensor, frames: Tensor) -> Tensor:
        """Makes output frames from features (n, c, h, w) and input frames (n, 3, h, w)."""
        if self.upscale == 1:
            return self.conv_last(features) + frames
        images = F.interpolate(frames, scale_factor=self.upscale, mode='bilinear', align_corners=False)
        return images + self.conv_last(self.upsample(self.conv_before_upsample(features)))
