"""Counts the multiply-adds of a network, the scans included, which profilers do not see.

PyTorch counts convolutions, matrix products and attention. The block around the selective scan and the dot products of
the implicit warp are counted by hand, deformable convolutions as plain ones. Elementwise work (activations, norms,
interpolation) is left out, as in published tables. Those call multiply-adds FLOPs.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torchvision.ops  # noqa: F401  (registers the deformable convolution)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gsm_plugin.layers.bimamba import BiMamba
from gsm_plugin.layers.implicit_warp import ImplicitWarp
from gsm_plugin.ops.dispatch import implementation, replaced

# Flow networks want 64 pixels; counts of other sizes follow in proportion to the area.
_SIDE = 64


def count_per_pixel(network: nn.Module, lengths: Sequence[int]) -> float:
    """Counts what an output frame costs for each of its LQ pixels.

    Args:
        network: Takes a clip (1, t, 3, h, w). A copy of it runs on the CPU, for which PyTorch's own operations serve.
        lengths: Two lengths of clips, whose difference is what further frames of a long clip cost; or one, the only
            one that a network takes, whose output is divided among the frames that it gives.

    Returns:
        Multiply-adds for each LQ pixel of an output frame.
    """
    # the layers as they are written: what is fused for inference hides work from the counter
    network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    counts = [count(network, (1, length, 3, _SIDE, _SIDE)) for length in lengths]
    if len(counts) == 2:
        (first, _), (second, _) = counts
        return (second - first) / (lengths[1] - lengths[0]) / _SIDE**2
    (total, frames) = counts[0]
    return total / frames / _SIDE**2


def count(network: nn.Module, shape: Sequence[int]) -> tuple[float, int]:
    """Counts a forward pass on the CPU.

    Args:
        network: The network, on the CPU.
        shape: Of the input, (b, t, c, h, w).

    Returns:
        Multiply-adds, and the number of frames that came out.
    """
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.torchvision.deform_conv2d: _deformable_convolution,
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        },
    )
    # convolutions by their definition, not by fewer products
    plain = replaced({'convolve_3x3': implementation('convolve_3x3', 'torch')})
    with torch.enable_grad(), plain, _hand_counts(network) as extra, counter:
        output = network(torch.zeros(shape))
    # PyTorch counts a multiply-add as two operations.
    return counter.get_total_flops() / 2 + sum(extra), output.shape[1] if output.ndim == 5 else 1


def scan_multiply_adds(sequences: int, length: int, channels: int, states: int) -> int:
    """Multiply-adds of a selective scan of one direction (arXiv 2312.00752).

    A step costs each channel, for each state, `delta A`, `(delta u) B`, `exp(delta A) h + ...` and `C h`, and besides
    `delta u`, `D u` and the gate.
    """
    return sequences * length * channels * (4 * states + 3)


def warp_multiply_adds(pixels: int, channels: int) -> int:
    """Multiply-adds of an implicit warp: four keys against a query, and four weighted values, for each pixel."""
    return pixels * 4 * 2 * channels


def bimamba_multiply_adds(module: BiMamba, sequences: int, length: int) -> int:
    """Multiply-adds of the bidirectional block: projections, causal convolutions and scans."""
    channels, states = module.A_log.shape
    width, rank = module.out_proj.out_features, module.dt_rank
    projections = 2 * width * channels + channels * width
    direction = channels * module.conv1d.kernel_size[0] + channels * (rank + 2 * states) + rank * channels
    scans = 2 * scan_multiply_adds(sequences, length, channels, states)
    return sequences * length * (projections + 2 * direction) + scans


@contextmanager
def _hand_counts(network: nn.Module) -> Iterator[list[int]]:
    """A list that grows while the network runs, by what the counter does not see.

    Scans are not run: only their sizes matter, and step by step they would take most of the time.
    """
    found: list[int] = []
    scans = [module for module in network.modules() if isinstance(module, BiMamba)]
    for module in scans:
        vars(module)['forward'] = partial(_skip_scan, module, found)
    hooks = [
        module.register_forward_hook(lambda _, inputs, __: found.append(_of_warp(inputs[0])))
        for module in network.modules()
        if isinstance(module, ImplicitWarp)
    ]
    try:
        yield found
    finally:
        for module in scans:
            del vars(module)['forward']
        for hook in hooks:
            hook.remove()


def _skip_scan(module: BiMamba, found: list[int], x: torch.Tensor, *_: object) -> torch.Tensor:
    found.append(bimamba_multiply_adds(module, *x.shape[:2]))
    return torch.zeros_like(x)


def _of_warp(frames: torch.Tensor) -> int:
    return warp_multiply_adds(math.prod(frames.shape[:-1]), frames.shape[-1])


def _deformable_convolution(x: Sequence[int], weight: Sequence[int], *_, out_shape: Sequence[int], **__) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_, **__) -> int:
    *batch, tokens, channels = query
    return 2 * math.prod(batch) * tokens * key[-2] * (channels + value[-1])
