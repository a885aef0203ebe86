"""Multi-head attention in shifted 3D windows (Swin, arXiv 2103.14030; Video Swin, arXiv 2106.13230)."""

from torch import Tensor

from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare
from gsm_plugin.ops.window_attention.naive import window_attention_naive
from gsm_plugin.ops.window_attention.torch_impl import window_attention_torch

OP = 'window_attention'

declare(
    OP,
    (
        Backend('torch', window_attention_torch, anywhere, 'scaled_dot_product_attention on groups of equal windows'),
        Backend('naive', window_attention_naive, anywhere, 'the definition'),
    ),
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
        backend: auto, torch or naive.

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
    return choose_backend(OP, backend, qkv.device.type).function(qkv, bias, window_size, shift_size)
