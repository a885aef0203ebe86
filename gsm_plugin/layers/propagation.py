"""A layer of Gather-Scatter Mamba: attention, then a sweep of overlapping windows over the clip (arXiv 2510.00862)."""

import torch
from torch import Tensor, nn

from gsm_plugin.layers.gather_scatter import GatherScatterBlock
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.precision import training_policy
from gsm_plugin.layers.sharing import sharing
from gsm_plugin.layers.window_attention import AttentionGroup


class PropagationLayer(nn.Module):
    """One layer; the published keys have its content under `stage`."""

    def __init__(self, attn_blocks: AttentionGroup, mamba_block: GatherScatterBlock) -> None:
        super().__init__()
        self.stage = PropagationStage(attn_blocks, mamba_block)

    def forward(self, *args) -> Tensor:
        """See `PropagationStage`."""
        return self.stage(*args)


class PropagationStage(nn.Module):
    """`x + sweep(attention(x))`: swept from first to last, returned in reverse, so that the next layer sweeps back.

    Args:
        attn_blocks: The attention.
        mamba_block: What updates each window of the sweep.
    """

    def __init__(self, attn_blocks: AttentionGroup, mamba_block: GatherScatterBlock) -> None:
        super().__init__()
        self.attn_blocks = attn_blocks
        self.mamba_block = mamba_block

    def forward(
        self, x: Tensor, gather_flows: Tensor, scatter_flows: Tensor, anchor: int, implicit_warp: ImplicitWarp
    ) -> Tensor:
        """Sweeps a clip.

        Args:
            x: (b, t, h, w, c).
            gather_flows: For the window around each frame, k frames long, `gather_flow` of `GatherScatterBlock`:
                (b, t, k, 2, h, w).
            scatter_flows: The same for `scatter_flow`.
            anchor: Position of the anchor in a window.
            implicit_warp: What gathers.

        Returns:
            (b, t, h, w, c), its frames in reverse order.
        """
        with training_policy(x).attention.on(x):
            attended = self.attn_blocks(x)
        frames, last, reach = list(attended.unbind(1)), x.shape[1] - 1, gather_flows.shape[2] // 2
        # made of parameters alone, so once for all windows
        with sharing(implicit_warp.key_and_value, self.mamba_block.mamba.scan_parameters):
            for i in range(len(frames)):
                positions = range(i - reach, i + reach + 1)
                # the first or last frame stands for those outside
                window = torch.stack([frames[min(max(position, 0), last)] for position in positions], 1)
                updated = self.mamba_block(window, gather_flows[:, i], scatter_flows[:, i], anchor, implicit_warp)
                # the next window reads what this one wrote
                for position, frame in zip(positions, updated.unbind(1), strict=True):
                    if 0 <= position <= last:
                        frames[position] = frame
        return (x + torch.stack(frames, 1)).flip(1)
