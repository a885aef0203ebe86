"""Scatter in inference: frames are carried back and added to the clip, whose layer norm is made on the way."""

from typing import NamedTuple

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, needs_triton
from gsm_plugin.ops._common.shapes import check_axes, check_shapes, check_tensors
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'scatter_norm'


class SumAndNorm(NamedTuple):
    """Parameters, all of them (c,).

    Attributes:
        scale: What the frames are multiplied by before the sum.
        factor: What the sum is multiplied by where it is stored.
        summand: What is added to that.
        weight: Of the layer norm.
        bias: Of the layer norm.
    """

    scale: Tensor
    factor: Tensor
    summand: Tensor
    weight: Tensor
    bias: Tensor


def _is_float32(*arguments: object) -> str | None:
    """Why Numba's kernel does not cover a call, or None where it does."""
    *tensors, _, _, dtype = arguments
    return None if all(getattr(x, 'dtype', x) == torch.float32 for x in (*tensors, dtype)) else 'not all is float32'


declare(
    OP,
    Backend('triton', 'warp, sum and norm in one kernel', needs_triton),
    Backend('numba', 'a loop compiled for this CPU', needs_numba, (torch.float32,), _is_float32),
    Backend('torch', 'the warp, then sum and norm'),
    Backend('naive', 'the definition'),
)


def scatter_norm(
    frames: Tensor,
    aligned: Tensor,
    flow: Tensor,
    parameters: SumAndNorm,
    eps: float,
    dtype: torch.dtype,
    backend: str = 'auto',
) -> Tensor:
    """Overwrites frames by `factor * s + summand` with `s = scale * frames + flow_warp(aligned, flow)`.

    Args:
        frames: (b, k, h, w, c), each frame contiguous; overwritten.
        aligned: What is carried back, (b, k, h, w, c), of any strides and any type.
        flow: From each frame's grid into what was aligned, (b, k, 2, h, w), pixels, x then y, of
            any size, as in `flow_warp`.
        parameters: See `SumAndNorm`.
        eps: Added to the variance.
        dtype: Type of the norm; inside, it is float32 or better.
        backend: auto, triton, numba, torch or naive. numba is for float32.

    Returns:
        The layer norm of s, rounded to the type of the frames: (b, k, h, w, c), contiguous, of type `dtype`.

    Raises:
        ValueError: The shapes do not belong together, a tensor is of whole numbers or on another device, a frame is not
            contiguous, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('scatter_norm keeps no gradients; call it within torch.no_grad().')
    _check_sizes(frames, aligned, flow, parameters)
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return compute(OP, backend, frames, (frames, aligned, flow, parameters, eps, dtype))


def _check_sizes(frames: Tensor, aligned: Tensor, flow: Tensor, parameters: SumAndNorm) -> None:
    check_tensors((('frames', frames), ('aligned', aligned), *parameters._asdict().items()), flow)
    check_axes('frames', frames, 'b, k, h, w, c')
    b, k, h, w, c = frames.shape
    if aligned.shape != frames.shape or flow.shape != (b, k, 2, h, w):
        raise ValueError(
            f'aligned has the shape {tuple(aligned.shape)} and flow {tuple(flow.shape)}; frames {(b, k, h, w, c)} need '
            f'as many and {(b, k, 2, h, w)}.'
        )
    if frames.numel() and not frames[0, 0].is_contiguous():
        raise ValueError(f'A frame has the strides {frames.stride()[2:]}; give contiguous frames, {(w * c, c, 1)}.')
    check_shapes(f'{c} channels need', zip(SumAndNorm._fields, parameters, [(c,)] * len(parameters), strict=True))
