"""Gather in inference: the implicit warp (arXiv 2305.00163) and the layer norm of what it gives (GSM, 2510.00862)."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, needs_numba, needs_triton
from gsm_plugin.ops._common.shapes import check_axes, check_shapes, check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'gather_norm'


class Cells(NamedTuple):
    """What pixels of targets attend to, and with what; see `implicit_warp`.

    Attributes:
        query: One query per pixel of a target and frame, (m * frames, h, w, c), the frames of a target in a row.
        key: One key per source pixel, (m * frames, h, w, c).
        value: One value per source pixel, (m * frames, h, w, c).
        flow: From the target's grid into the frames, (m * frames, 2, h, w), pixels, x then y, of any size.
        key_position: What is added to the key of each pixel of a cell, (4, c).
        value_position: The same for the value, (4, c).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    flow: Tensor
    key_position: Tensor
    value_position: Tensor


declare(
    OP,
    Backend('triton', 'gathers, attends and normalises in one kernel', needs_triton),
    Backend('numba', 'a loop compiled for this CPU', needs_numba, UP_TO_FLOAT32),
    Backend('torch', 'the warp, then the norm'),
    Backend('naive', 'the definition'),
)


def gather_norm(
    cells: Cells,
    num_heads: int,
    frames: int,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    dtype: torch.dtype,
    backend: str = 'auto',
) -> Tensor:
    """Aligns frames to their targets and normalises the channels, the frames of a pixel next to each other.

    Args:
        cells: See `Cells`.
        num_heads: Heads of the attention.
        frames: Frames of a target.
        weight: Of the layer norm, (c,).
        bias: Of the layer norm, (c,).
        eps: Added to the variance.
        dtype: Type of the result; inside, it is float32 or better.
        backend: auto, triton, numba, torch or naive.

    Returns:
        (m, h, w, frames, c), contiguous, of type `dtype`.

    Raises:
        ValueError: The shapes do not belong together, a tensor is of whole numbers or on another device, or gradients
            are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('gather_norm keeps no gradients; call it within torch.no_grad().')
    _check_sizes(cells, num_heads, frames, weight, bias)
    cells = cells._replace(flow=cells.flow.to(torch.promote_types(cells.flow.dtype, torch.float32)))
    return compute(OP, backend, cells.query, (cells, num_heads, frames, weight, bias, eps, dtype))


def _check_sizes(cells: Cells, num_heads: int, frames: int, weight: Tensor, bias: Tensor) -> None:
    tensors = cells._asdict()
    flow = tensors.pop('flow')
    check_tensors((*tensors.items(), ('weight', weight), ('bias', bias)), flow)
    check_axes('query', cells.query, 'n, h, w, c')
    n, h, w, c = cells.query.shape
    expected: list[tuple[int, ...]] = [*[(n, h, w, c)] * 3, (n, 2, h, w), (4, c), (4, c)]
    check_shapes(f'queries {(n, h, w, c)} need', zip(Cells._fields, cells, expected, strict=True))
    if num_heads < 1 or c % num_heads:
        raise ValueError(f'{c} channels in {num_heads} heads; give a multiple.')
    if frames < 1 or n % frames:
        raise ValueError(f'There are {n} frames in groups of {frames}; give a multiple.')
    check_shapes(f'{c} channels need', (('weight', weight, (c,)), ('bias', bias, (c,))))
