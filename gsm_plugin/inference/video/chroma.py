"""Chroma planes to full size and back, by the position of their samples.

Up is linear interpolation; down is the least-squares inverse of it, so that down after up changes nothing, and of all
chroma planes the one is written from which a player that interpolates linearly gets closest to the network's colours.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# Lines of more chroma samples have the weights of a line of about so many: its ends, and its middle repeated.
_MODEL, _END = 96, 32


def enlarge(plane: Tensor, size: int, ratio: int, offset: float, dim: int) -> Tensor:
    """Interpolates chroma samples at every luma position of one axis; beyond the ends they are repeated.

    Args:
        plane: (..., h, w), floating point.
        size: Number of luma samples on the axis.
        ratio: Luma samples per chroma sample.
        offset: Luma position of the first chroma sample: 0 for co-sited, 0.5 for the middle of two.
        dim: -1 for columns, -2 for rows.
    """
    if ratio == 1:
        return plane
    count = plane.shape[dim]
    lines = plane.narrow(dim, 0, 1), plane, plane.narrow(dim, count - 1, 1)
    repeated = torch.cat(lines, dim)
    shape = list(plane.shape)
    shape[dim] = count * ratio
    output = plane.new_empty(shape)
    for phase in range(ratio):
        position = (phase - offset) / ratio
        left = math.floor(position)
        share, first = position - left, 1 + left
        part = repeated.narrow(dim, first, count) * (1 - share)
        if share:
            part.add_(repeated.narrow(dim, first + 1, count), alpha=share)
        _every(output, phase, ratio, dim).copy_(part)
    return output.narrow(dim, 0, size)


def reduce(plane: Tensor, ratio: int, offset: float, dim: int, tolerance: float) -> Tensor:
    """The chroma samples whose interpolation is closest to a plane of full size.

    Args:
        plane: (..., h, w), floating point.
        ratio: Luma samples per chroma sample.
        offset: Luma position of the first chroma sample.
        dim: -1 for columns, -2 for rows.
        tolerance: Weights below it are left out.
    """
    if ratio == 1:
        return plane
    size, device = plane.shape[dim], plane.device
    if size < (_MODEL + 1) * ratio:
        return _gathered(plane, *_taps(size, ratio, offset, tolerance, 0, None, device), dim)
    model = _MODEL * ratio + size % ratio
    starts, weights = _weights(model, ratio, offset, tolerance)
    count = -(-size // ratio)
    head = _gathered(plane, *_taps(model, ratio, offset, tolerance, 0, _END, device), dim)
    places, factors = _taps(model, ratio, offset, tolerance, -_END, None, device)
    tail = _gathered(plane, places + (count - len(starts)) * ratio, factors, dim)
    middle = len(starts) // 2
    start = starts[middle] - (middle - _END) * ratio
    body = _slid(plane, int(start), weights[middle], count - 2 * _END, ratio, dim)
    return torch.cat([head, body, tail], dim)


def _every(plane: Tensor, start: int, step: int, dim: int) -> Tensor:
    return plane[..., start::step] if dim == -1 else plane[..., start::step, :]


def _slid(plane: Tensor, start: int, weights: np.ndarray, count: int, ratio: int, dim: int) -> Tensor:
    """The same weights at `count` places, `ratio` apart from `start` on."""
    phases = [_every(plane, phase, ratio, dim).contiguous() for phase in range(ratio)]
    places = range(start, start + len(weights))
    first, *others = (phases[place % ratio].narrow(dim, place // ratio, count) for place in places)
    output = first * weights[0].item()
    for part, weight in zip(others, weights[1:].tolist(), strict=True):
        output.add_(part, alpha=weight)
    return output


def _gathered(plane: Tensor, places: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Sums over taps, by weights (n, k) of their own, of samples at places (n, k)."""
    samples = plane.index_select(dim, places.flatten()).unflatten(dim, places.shape)
    # of the two axes of places, taps are the second
    return (samples * (weights if dim == -1 else weights[..., None])).sum(dim)


@lru_cache
def _taps(
    size: int, ratio: int, offset: float, tolerance: float, first: int, last: int | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Luma samples (n, k) and weights (n, k) of chroma samples from `first` to before `last`, where planes are.

    They are kept there, since a GPU waits for whatever comes from the host.
    """
    starts, weights = (array[first:last] for array in _weights(size, ratio, offset, tolerance))
    places = starts[:, None] + np.arange(weights.shape[1])
    return torch.from_numpy(places).to(device), torch.from_numpy(weights).to(device)


@lru_cache
def _weights(size: int, ratio: int, offset: float, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """First luma sample (n,) and weights (n, k) of every chroma sample."""
    count = -(-size // ratio)
    identity = torch.eye(count, dtype=torch.float64)
    inverse = np.linalg.pinv(enlarge(identity, size, ratio, offset, -1).T.numpy())
    inverse[abs(inverse) < tolerance] = 0
    reach = max(np.ptp(np.flatnonzero(row)) for row in inverse) + 1
    starts = np.array([min(np.flatnonzero(row)[0], size - reach) for row in inverse])
    rows = [row[start : start + reach] for row, start in zip(inverse, starts, strict=True)]
    return starts, np.array(rows, np.float32)
