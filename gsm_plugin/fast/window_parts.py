"""Window attention of a clip in parts, so that memory does not grow with it."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.fast.products import product
from gsm_plugin.layers.mutual_attention import MutualWindowAttention
from gsm_plugin.layers.window_attention import Size3d, WindowAttention
from gsm_plugin.ops import pad_to_windows, window_attention


class Part(NamedTuple):
    """Frames of a clip that do not see the others, and the windows in which they see each other.

    Attributes:
        frames: The frames.
        window: Depth, height and width of their windows in tokens.
        shift: By how much they are shifted.
        places: Their tokens' places in a window of the whole clip.
    """

    frames: slice
    window: Size3d
    shift: Size3d
    places: slice


def attend(attention: WindowAttention, x: Tensor, part: Part, bias: Tensor) -> Tensor:
    """What the heads see in a part of a clip, before it is projected.

    Args:
        attention: The layer.
        x: The part, (b, t, h, w, dim).
        part: Which one it is.
        bias: Result of `relative_position_bias`.

    Returns:
        (b, t, h, w, channels that are projected).
    """
    if isinstance(attention, MutualWindowAttention):
        return torch.cat((attention.attend_mutually(x), _attend(attention, x, part, bias)), -1)
    return _attend(attention, x, part, bias)


def _attend(attention: WindowAttention, x: Tensor, part: Part, bias: Tensor) -> Tensor:
    t, h, w = x.shape[1:4]
    _, window, shift, places = part
    # Without a bias, the zero tokens that pad the windows stay zero, and need not be projected.
    padded = x if attention.qkv_self.bias is None else pad_to_windows(x, window)
    linear = attention.qkv_self
    qkv = product(padded, linear.weight, 'qkv') if linear.bias is None and x.is_cpu else linear(padded)
    return window_attention(qkv, bias[:, places, places], window, shift, attention.backend)[:, :t, :h, :w]


def parts_of(attention: WindowAttention, sides: Size3d, at_once: int) -> list[Part]:
    """Parts of a clip of some sides, of about so many tokens each, but not less than a window's frames.

    Where windows are shifted in time, the last one has the last frames and the first ones, which do not see each other.
    For mutual attention these are a pair, so that there is one part alone.
    """
    whole = _whole(attention, sides)
    (length, height, width), (depth, *_), (shift, *_) = sides, whole.window, whole.shift
    group = depth * max(1, at_once // (depth * height * width))
    if group >= length or isinstance(attention, MutualWindowAttention):
        return [whole]
    tokens, last = whole.places.stop // depth, length + -length % depth - depth + shift

    def part(first: int, end: int, frames_before: int = 0, frames: int = depth) -> Part:
        places = slice(frames_before * tokens, (frames_before + frames) * tokens)
        return Part(slice(first, min(end, length)), (frames, *whole.window[1:]), (0, *whole.shift[1:]), places)

    if not shift:
        return [part(first, first + group) for first in range(0, length, group)]
    parts = [part(0, shift, depth - shift, shift)]
    parts += [part(first, min(first + group, last)) for first in range(shift, last, group)]
    return parts + ([part(last, length, 0, depth - shift)] if last < length else [])


def _whole(attention: WindowAttention, sides: Size3d) -> Part:
    window, shift = attention.fit(sides)
    return Part(slice(0, sides[0]), window, shift, slice(0, window[0] * window[1] * window[2]))
