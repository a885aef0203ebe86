"""Multi-head attention in shifted 3D windows (Swin, arXiv 2103.14030; Video Swin, arXiv 2106.13230)."""

from typing import Any

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, needs_numba, needs_triton
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'window_attention'

_MOST_TOKENS, _MOST_CHANNELS = 128, 64
# What the backward pass needs in float32, in bytes a block; GPUs of capability 8.6 and 8.9 have less.
_SHARED_MEMORY = 160 * 1024


def _kernels_cover(qkv: Tensor, bias: Tensor, *_: object) -> str | None:
    """Why the Triton kernels do not cover a call with a type that they have, or None where they do."""
    heads, tokens = bias.shape[:2]
    if tokens > _MOST_TOKENS:
        return f'a window has {tokens} tokens, its kernels take up to {_MOST_TOKENS}'
    channels = qkv.shape[-1] // (3 * heads)
    if channels > _MOST_CHANNELS:
        return f'a head has {channels} channels, its kernels take up to {_MOST_CHANNELS}'
    if qkv.is_cuda and qkv.dtype == torch.float32:
        # PyTorch's annotation lacks this property
        properties: Any = torch.cuda.get_device_properties(qkv.device)
        available = properties.shared_memory_per_block_optin
        if available < _SHARED_MEMORY:
            return f'in float32 its kernels need {_SHARED_MEMORY} bytes of shared memory, the GPU has {available}'
    return None


def _numba_covers(qkv: Tensor, bias: Tensor, *_: object) -> str | None:
    """Why Numba's kernel does not cover a call with float32, or None where it does."""
    if torch.is_grad_enabled():
        return 'its kernel keeps no gradients'
    return None if bias.dtype == torch.float32 else 'the bias is not float32'


declare(
    OP,
    Backend('triton', 'one kernel from qkv to result', needs_triton, UP_TO_FLOAT32, _kernels_cover),
    Backend('numba', 'a loop compiled for this CPU, without gradients', needs_numba, (torch.float32,), _numba_covers),
    Backend('torch', 'scaled_dot_product_attention on groups of equal windows'),
    Backend('naive', 'the definition'),
)


def window_attention(
    qkv: Tensor,
    bias: Tensor,
    window_size: tuple[int, int, int],
    shift_size: tuple[int, int, int],
    backend: str = 'auto',
) -> Tensor:
    """Attends within non-overlapping windows of a volume that is shifted cyclically, and shifts back.

    Sides are padded at their end to whole windows with tokens whose query, key and value are zero; they are attended
    to like any other. After a shift, tokens of a window that come from opposite borders attend to each other with
    -100 added to their logits.

    Args:
        qkv: Query, key and value of every token, (b, d, h, w, 3 * heads * channels of a head), in this order.
        bias: Relative position bias, (heads, n, n) with n the number of tokens of a window.
        window_size: Depth, height and width of a window in tokens.
        shift_size: By how many tokens the volume is shifted, smaller than the window.
        backend: auto, triton, numba, torch or naive. The kernels of triton are for bfloat16, float16 and (on GPUs with
            160 KiB of shared memory) float32, up to 128 tokens of a window and 64 channels of a head, that of numba
            for float32 without gradients; auto takes torch for what is beyond.

    Returns:
        (b, d, h, w, heads * channels of a head).

    Raises:
        ValueError: The shapes do not belong together, or a shift is not smaller than the window.
        RuntimeError: The named backend cannot run here.
    """
    heads, tokens = bias.shape[0], window_size[0] * window_size[1] * window_size[2]
    if qkv.ndim != 5 or qkv.shape[-1] % (3 * heads):
        raise ValueError(
            f'qkv has the shape {tuple(qkv.shape)}; give (b, d, h, w, 3 * c) with c a multiple of {heads}.'
        )
    if bias.shape != (heads, tokens, tokens):
        raise ValueError(f'bias has the shape {tuple(bias.shape)}; a window of {window_size} needs (heads, n, n).')
    if not all(0 <= shift < size for shift, size in zip(shift_size, window_size, strict=True)):
        raise ValueError(f'shift_size is {shift_size}; it must be smaller than window_size {window_size}.')
    return compute(OP, backend, qkv, (qkv, bias, window_size, shift_size))
