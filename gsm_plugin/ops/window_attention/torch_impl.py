"""Window attention by PyTorch's scaled_dot_product_attention, without the logits in memory."""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.window_attention.naive import MASKED, pad_to_windows


def window_attention_torch(
    qkv: Tensor, bias: Tensor, window_size: tuple[int, int, int], shift_size: tuple[int, int, int]
) -> Tensor:
    """Computes `window_attention`, arguments and result as described there.

    The mask of a window only depends on the axes along which the window is the last one, so the windows fall into at
    most eight groups, each with one mask for all of its windows.
    """
    batch, depth, height, width = qkv.shape[:4]
    heads = bias.shape[0]
    shifted = any(shift_size)
    qkv = pad_to_windows(qkv, window_size)
    if shifted:
        qkv = torch.roll(qkv, [-shift for shift in shift_size], (1, 2, 3))
    counts = [side // size for side, size in zip(qkv.shape[1:4], window_size, strict=True)]
    tiled = qkv.view(batch, counts[0], window_size[0], counts[1], window_size[1], counts[2], window_size[2], -1)
    output = qkv.new_empty(*tiled.shape[:-1], tiled.shape[-1] // 3)
    pieces = [_pieces(count, shift) for count, shift in zip(counts, shift_size, strict=True)]
    for group in product(*pieces):
        (d, _), (h, _), (w, _) = group
        last = [is_last for _, is_last in group]
        part = tiled[:, d, :, h, :, w]
        masked_bias = bias + _mask(window_size, shift_size, last, bias.device)
        output[:, d, :, h, :, w] = _attend(part, masked_bias.to(qkv.dtype), heads)
    output = output.view(*qkv.shape[:4], -1)
    if shifted:
        output = torch.roll(output, shift_size, (1, 2, 3))
    return output[:, :depth, :height, :width]


def _attend(windows: Tensor, bias: Tensor, heads: int) -> Tensor:
    """Attends within windows (b, D, wd, H, wh, W, ww, 3 c): the same shape with c channels."""
    b, nd, wd, nh, wh, nw, ww, _ = windows.shape
    split = windows.unflatten(-1, (3, heads, -1)).permute(7, 0, 1, 3, 5, 8, 2, 4, 6, 9)
    q, k, v = split.reshape(3, b * nd * nh * nw, heads, wd * wh * ww, -1)
    output = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(len(q), -1, -1, -1))
    return output.view(b, nd, nh, nw, heads, wd, wh, ww, -1).permute(0, 1, 5, 2, 6, 3, 7, 4, 8).flatten(-2)


def _pieces(count: int, shift: int) -> list[tuple[slice, bool]]:
    """The windows along an axis that share a mask: all of them, or all but the last and the last."""
    if not shift:
        return [(slice(0, count), False)]
    return [piece for piece in ((slice(0, count - 1), False), (slice(count - 1, count), True)) if piece[0].stop > 0]


def _mask(
    window_size: tuple[int, int, int], shift_size: tuple[int, int, int], last: list[bool], device: torch.device
) -> Tensor:
    """What is added to the logits of a window, (n, n): MASKED between tokens from opposite borders."""
    came_around = torch.zeros(window_size, dtype=torch.long, device=device)
    for axis, (size, shift, is_last) in enumerate(zip(window_size, shift_size, last, strict=True)):
        if shift and is_last:
            part = (torch.arange(size, device=device) >= size - shift).long()
            came_around = 2 * came_around + part.view([-1 if i == axis else 1 for i in range(3)])
    number = came_around.flatten()
    return MASKED * (number[:, None] != number[None, :]).float()
