"""Window attention as it is defined, with one mask per window: the reference for the other backends."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

MASKED = -100.0


def window_attention_naive(
    qkv: Tensor, bias: Tensor, window_size: tuple[int, int, int], shift_size: tuple[int, int, int]
) -> Tensor:
    """Computes `window_attention`, arguments and result as described there, with all logits in memory."""
    shape, heads = qkv.shape[1:4], bias.shape[0]
    qkv = torch.roll(pad_to_windows(qkv, window_size), [-shift for shift in shift_size], (1, 2, 3))
    _, d, h, w, _ = qkv.shape
    padded = d, h, w
    region = _regions(padded, window_size, shift_size).to(qkv.device)
    regions = window_partition(region[None, ..., None], window_size)[..., 0]
    mask = MASKED * (regions[:, :, None] != regions[:, None, :]).to(qkv.dtype)
    q, k, v = window_partition(qkv, window_size).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
    logits = logits + mask.repeat(len(logits) // len(mask), 1, 1)[:, None]
    output = (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)
    output = torch.roll(window_reverse(output, window_size, padded), shift_size, (1, 2, 3))
    return output[:, : shape[0], : shape[1], : shape[2]]


def pad_to_windows(x: Tensor, window_size: tuple[int, int, int]) -> Tensor:
    """Pads (b, d, h, w, c) with zeros at the end of each side to a multiple of the window."""
    missing = [-side % size for side, size in zip(x.shape[1:4], window_size, strict=True)]
    return F.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))


def window_partition(x: Tensor, window_size: tuple[int, int, int]) -> Tensor:
    """Cuts (b, d, h, w, c) into (b * windows, tokens of a window, c)."""
    wd, wh, ww = window_size
    return rearrange(x, 'b (d wd) (h wh) (w ww) c -> (b d h w) (wd wh ww) c', wd=wd, wh=wh, ww=ww)


def window_reverse(windows: Tensor, window_size: tuple[int, int, int], shape: tuple[int, int, int]) -> Tensor:
    """Puts (b * windows, tokens of a window, c) back together to (b, d, h, w, c), `shape` being d, h, w."""
    d, h, w = (side // size for side, size in zip(shape, window_size, strict=True))
    wd, wh, ww = window_size
    pattern = '(b d h w) (wd wh ww) c -> b (d wd) (h wh) (w ww) c'
    return rearrange(windows, pattern, d=d, h=h, w=w, wd=wd, wh=wh, ww=ww)


def _regions(
    shape: tuple[int, int, int], window_size: tuple[int, int, int], shift_size: tuple[int, int, int]
) -> Tensor:
    """Numbers the regions (d, h, w) of the shifted volume that were neighbours before the shift."""
    number = torch.zeros(shape, dtype=torch.long)
    for axis, (side, size, shift) in enumerate(zip(shape, window_size, shift_size, strict=True)):
        position = torch.arange(side)
        # The last window of a shifted side holds what was there, and behind it what came around from the start.
        part = (position >= side - size).long() + (position >= side - shift).long() if shift else position * 0
        number = 3 * number + part.view([-1 if i == axis else 1 for i in range(3)])
    return number
