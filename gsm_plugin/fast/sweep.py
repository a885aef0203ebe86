"""A layer of Gather-Scatter Mamba without gradients, in memory that does not grow with the number of windows."""

import torch
from torch import Tensor

from gsm_plugin.fast.attention import run_group
from gsm_plugin.fast.frame_buffer import FrameBuffer
from gsm_plugin.fast.gather_scatter import FastGatherScatter
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.layers.precision import inference_policy
from gsm_plugin.layers.propagation import PropagationStage


def run_stage(
    stage: PropagationStage,
    x: Tensor,
    gather_flows: Tensor,
    scatter_flows: Tensor,
    anchor: int,
    implicit_warp: ImplicitWarp,
) -> Tensor:
    """What the stage gives, see there, in the type of its sums."""
    policy = inference_policy(x)
    dtype = policy.frames or torch.promote_types(x.dtype, stage.mamba_block.skip_scale.dtype)
    buffer = FrameBuffer(x, dtype, gather_flows.shape[2] // 2)
    with policy.attention.on(x):
        attended = run_group(stage.attn_blocks, x, buffer.frames)
    if attended is x:
        buffer.frames.copy_(x)
    block = FastGatherScatter(stage.mamba_block, implicit_warp, policy, dtype)
    for i in range(x.shape[1]):
        window, inside = buffer.window(i)
        block.overwrite(window, gather_flows[:, i], scatter_flows[:, i], anchor, inside)
    return buffer.add_and_reverse(x)
