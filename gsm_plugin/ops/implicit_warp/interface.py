"""The implicit warp: attention over the 2x2 pixels around `pixel + flow` (IA-RT, arXiv 2305.00163; GSM, 2510.00862)."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, needs_numba, needs_triton
from gsm_plugin.ops._common.shapes import check_axes, check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'implicit_warp'


declare(
    OP,
    Backend('triton', 'gathers and attends in one kernel', needs_triton),
    Backend('numba', 'gathers and attends in a loop compiled for this CPU', needs_numba, UP_TO_FLOAT32),
    Backend('torch', 'all pixels at once, the backward pass gathers again'),
    Backend('naive', 'the definition'),
)


def implicit_warp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    flow: Tensor,
    key_position: Tensor,
    value_position: Tensor,
    num_heads: int,
    backend: str = 'auto',
) -> Tensor:
    """Warps `value` by attention: each pixel attends to the 2x2 cell at the floor of `pixel + flow`.

    The cell's pixels are taken in the order (0, 0), (0, 1), (1, 0), (1, 1) as (row, column), with indices clamped to
    the image. A flow may be of any size, and not finite: its cell is at the border, for NaN on the left, or at the top.
    Key and value are projected once per source pixel; what their position in the cell adds is passed separately, since
    the projections are linear.

    Args:
        query: One query per target pixel, (n, h, w, c).
        key: One key per source pixel, (n, h, w, c).
        value: One value per source pixel, (n, h, w, c).
        flow: Displacement of each target pixel, (n, 2, h, w), pixels, x then y. Only the floor of `pixel + flow` is
            read here: no gradient flows into it. Half precision is taken to float32 before it is added to coordinates.
        key_position: What is added to the key of each pixel of a cell, (4, c).
        value_position: The same for the value, (4, c).
        num_heads: Heads; each has c / num_heads channels, and logits are scaled by their number to the power -1/2.
        backend: auto, triton, numba, torch or naive.

    Returns:
        (n, h, w, c).

    Raises:
        ValueError: The shapes do not belong together, or a tensor is of whole numbers or on another device.
        RuntimeError: The named backend cannot run here.
    """
    positions = ('key_position', key_position), ('value_position', value_position)
    check_tensors((('query', query), ('key', key), ('value', value), *positions), flow)
    check_axes('query', query, 'n, h, w, c')
    n, h, w, c = query.shape
    if key.shape != query.shape or value.shape != query.shape or flow.shape != (n, 2, h, w):
        shapes = [tuple(x.shape) for x in (query, key, value, flow)]
        raise ValueError(f'query, key, value, flow have the shapes {shapes}; give three (n, h, w, c) and (n, 2, h, w).')
    if num_heads < 1 or c % num_heads or key_position.shape != (4, c) or value_position.shape != (4, c):
        raise ValueError(f'{c} channels in {num_heads} heads need a multiple and positions of shape (4, {c}).')
    flow = flow.detach().to(torch.promote_types(flow.dtype, torch.float32))
    return compute(OP, backend, query, (query, key, value, flow, key_position, value_position, num_heads))
