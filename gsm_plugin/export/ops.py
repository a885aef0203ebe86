"""The ops of GSM in pure PyTorch, in forms that torch.export traces and ONNX can express."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.export.scan import scan_in_lockstep
from gsm_plugin.ops import grid, sinusoids
from gsm_plugin.ops.dispatch import replaced

_MASKED = -100.0
_CELL = ((0, 0), (0, 1), (1, 0), (1, 1))
Size3d = tuple[int, int, int]


@contextmanager
def exportable_ops() -> Iterator[None]:
    """Within it, layers compute by the ops of this file, whatever backend they ask for."""
    with replaced(
        {
            'bidirectional_scan': bidirectional_scan,
            'convolve_3x3': convolve_3x3,
            'depthwise_conv_gelu': depthwise_conv_gelu,
            'flow_warp': flow_warp,
            'fraction_encoding': fraction_encoding,
            'gated_gelu': gated_gelu,
            'implicit_warp': implicit_warp,
            'residual_norm': residual_norm,
            'shuffle_leaky_relu': shuffle_leaky_relu,
            'window_attention': window_attention,
        }
    ):
        yield


def bidirectional_scan(x: Tensor, z: Tensor, parameters: tuple[Tensor, ...], kept: object = None) -> Tensor:
    """See the op of that name; (b, l, d) -> the same."""
    forward, backward = (tuple(both[i] for both in parameters) for i in range(2))
    x, z = x.transpose(1, 2), z.transpose(1, 2)
    y = _scan_one_way(x, z, *forward) + _scan_one_way(x.flip(2), z.flip(2), *backward).flip(2)
    return y.transpose(1, 2)


def _scan_one_way(
    x: Tensor,
    z: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
) -> Tensor:
    (channels, width), n = conv_weight.shape, A.shape[1]
    u = F.silu(F.conv1d(F.pad(x, (width - 1, 0)), conv_weight[:, None], conv_bias, groups=channels))
    dt, B, C = (x_proj @ u).split([dt_proj.shape[1], n, n], 1)
    delta = F.softplus(dt_proj @ dt + dt_bias[:, None])
    return (scan_in_lockstep(u, delta, A, B, C) + D[:, None] * u) * F.silu(z)


def convolve_3x3(x: Tensor, weight: Tensor) -> Tensor:
    """See the op of that name."""
    return F.conv2d(x, weight, padding=1)


def depthwise_conv_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """See the op of that name."""
    convolved = F.conv3d(x.movedim(-1, 1), weight[:, None], bias, padding=1, groups=len(weight))
    return F.gelu(convolved.movedim(1, -1))


def flow_warp(x: Tensor, flow: Tensor) -> Tensor:
    """See the op of that name."""
    places = grid.sampling_grid(grid.places(flow), *x.shape[1:3])
    return F.grid_sample(x.permute(0, 3, 1, 2), places, 'bilinear', 'zeros', align_corners=True).permute(0, 2, 3, 1)


def fraction_encoding(target: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """See the op of that name."""
    place = grid.places(flow)
    x, y = ((place - place.floor()) / (2 + sinusoids.EPSILON) * (2 * torch.pi)).unbind(1)
    encoding = sinusoids.encode(y, x, target.shape[3])
    return (target[:, None] + encoding.unflatten(0, (len(target), -1))).flatten(0, 1).to(dtype)


def gated_gelu(hidden: Tensor) -> Tensor:
    """See the op of that name."""
    gate, value = hidden.chunk(2, -1)
    return F.gelu(gate) * value


def implicit_warp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    flow: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
) -> Tensor:
    """See the op of that name; pixels are gathered by their rows in the flattened images."""
    n, h, w, _ = query.shape
    x, y = grid.places(flow).floor().long().unbind(1)
    image = torch.arange(n, device=flow.device)[:, None, None] * (h * w)
    keys, values = [], []
    for j, (row, column) in enumerate(_CELL):
        index = (image + (y + row).clamp(0, h - 1) * w + (x + column).clamp(0, w - 1)).flatten()
        keys.append(key.flatten(0, 2)[index] + key_position[j])
        values.append(value.flatten(0, 2)[index] + value_position[j])
    q = query.flatten(0, 2).unflatten(-1, (num_heads, -1))
    k, v = (torch.stack(parts, 1).unflatten(-1, (num_heads, -1)) for parts in (keys, values))
    logits = (q[:, None] * k).sum(-1, keepdim=True) * q.shape[-1] ** -0.5
    return (logits.softmax(1) * v).sum(1).flatten(1).view(query.shape)


def residual_norm(
    x: Tensor,
    update: Tensor | None,
    scale: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    dtype: torch.dtype,
    into: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """See the ops `layer_norm`, `residual_layer_norm` and `residual_sum`."""
    total = x if update is None else (x if scale is None else scale * x) + update
    return total, None if weight is None else F.layer_norm(total, total.shape[-1:], weight, bias, eps).to(dtype)


def shuffle_leaky_relu(x: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """See the op of that name."""
    x = F.pixel_shuffle(x + bias[:, None, None], factor) if factor > 1 else x + bias[:, None, None]
    return x if slope == 1 else F.leaky_relu(x, slope)


def window_attention(qkv: Tensor, bias: Tensor, window_size: Size3d, shift_size: Size3d) -> Tensor:
    """See the op of that name."""
    sides, heads = qkv.shape[1:4], len(bias)
    missing = [-side % size for side, size in zip(sides, window_size, strict=True)]
    qkv = F.pad(qkv, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
    _, d, h, w, _ = qkv.shape
    padded, counts = (d, h, w), [-(-side // size) for side, size in zip(sides, window_size, strict=True)]
    region = _regions(padded, window_size, shift_size, qkv.device)
    if any(shift_size):
        qkv = torch.roll(qkv, [-shift for shift in shift_size], (1, 2, 3))
    windows = _partition(qkv, window_size)
    q, k, v = windows.unflatten(-1, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + bias
    if any(shift_size):
        number = _partition(region[None, ..., None], window_size)[..., 0]
        logits = logits + _MASKED * (number[:, :, :, None] != number[:, :, None]).to(logits.dtype)[:, :, None]
    output = (logits.softmax(-1) @ v).transpose(2, 3).flatten(3)
    output = output.unflatten(1, counts).unflatten(4, window_size).permute(0, 1, 4, 2, 5, 3, 6, 7)
    output = output.flatten(5, 6).flatten(3, 4).flatten(1, 2)
    if any(shift_size):
        output = torch.roll(output, shift_size, (1, 2, 3))
    return output[:, : sides[0], : sides[1], : sides[2]]


def _partition(x: Tensor, window_size: Size3d) -> Tensor:
    """(b, d, h, w, c) -> (b, windows, tokens of a window, c)."""
    for axis, size in zip((1, 3, 5), window_size, strict=True):
        x = x.unflatten(axis, (-1, size))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(1, 3)


def _regions(sides: Size3d, window_size: Size3d, shift_size: Size3d, device: torch.device) -> Tensor:
    """Numbers the regions (d, h, w) of the shifted volume that were neighbours before the shift."""
    number = torch.zeros(1, 1, 1, dtype=torch.long, device=device)
    for axis, (side, size, shift) in enumerate(zip(sides, window_size, shift_size, strict=True)):
        place = torch.arange(side, device=device)
        part = (place >= side - size).long() + (place >= side - shift).long() if shift else 0 * place
        number = 3 * number + part.view([-1 if i == axis else 1 for i in range(3)])
    return number
