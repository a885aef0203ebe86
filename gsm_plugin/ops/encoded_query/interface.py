"""The query of the implicit warp (IA-RT, arXiv 2305.00163) in inference, from features and a flow."""

import torch
from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_numba, needs_triton
from gsm_plugin.ops._common.shapes import check_shapes
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'encoded_query'


def _is_float32(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> str | None:
    """Why Numba's kernel does not cover a call, or None where it does."""
    return None if target.dtype == flow.dtype == dtype == torch.float32 else 'not all is float32'


declare(
    OP,
    Backend('triton', 'one kernel in half precision up to 192 channels, else two', needs_triton),
    Backend('numba', 'one kernel, a row at a time', needs_numba, (torch.float32,), _is_float32),
    Backend('torch', 'the encoding, then a product of matrices'),
    Backend('naive', 'the definition'),
)


def encoded_query(
    target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, backend: str = 'auto'
) -> Tensor:
    """Projects what `fraction_encoding` makes of features and a flow, which may be of any size and not finite.

    Args:
        target: Features on the grid of the flow, (m, h, w, c), c a multiple of 4. Each is used for n / m flows that
            follow one another.
        flow: Displacements in pixels, x then y, (n, 2, h, w), n a multiple of m.
        weight: As Linear has it, (c, c), of type `dtype` or to be cast to it.
        bias: (c,).
        dtype: Type in which matrices are multiplied, and of the result; sums are float32 or better.
        backend: auto, triton, numba, torch or naive. The kernel of triton is for bfloat16 and float16 and up to 192
            channels; beyond, triton runs that of `fraction_encoding` and leaves the product to PyTorch. numba is for
            float32.

    Returns:
        (n, h, w, c), contiguous, of type `dtype`.

    Raises:
        ValueError: The shapes do not belong together, or gradients are on.
        RuntimeError: The named backend cannot run here.
    """
    if torch.is_grad_enabled():
        raise ValueError('encoded_query keeps no gradients; call it within torch.no_grad().')
    _check_sizes(target, flow, weight, bias)
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return compute(OP, backend, target, (target, flow, weight, bias, dtype))


def _check_sizes(target: Tensor, flow: Tensor, weight: Tensor, bias: Tensor) -> None:
    m, h, w, c = target.shape
    if flow.ndim != 4 or flow.shape[1:] != (2, h, w) or not m or len(flow) % m or c % 4:
        raise ValueError(
            f'encoded_query got target {tuple(target.shape)} and flow {tuple(flow.shape)}; '
            f'give (m, h, w, c) with c a multiple of 4 and (n, 2, h, w) with n a multiple of m.'
        )
    check_shapes(f'{c} channels need', (('weight', weight, (c, c)), ('bias', bias, (c,))))
