"""The gate of GEGLU (arXiv 2002.05202), between the two projections into it and the one out of it."""

from torch import Tensor

from gsm_plugin.ops._common.requirements import why_no_triton
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare
from gsm_plugin.ops.gated_gelu.naive import gated_gelu_naive
from gsm_plugin.ops.gated_gelu.torch_impl import gated_gelu_torch

OP = 'gated_gelu'


def _triton(hidden: Tensor) -> Tensor:
    from gsm_plugin.ops.gated_gelu.triton_impl import gated_gelu_triton

    return gated_gelu_triton(hidden)


declare(
    OP,
    (
        Backend('triton', _triton, why_no_triton, 'one pass, and nothing but the input kept for the backward pass'),
        Backend('torch', gated_gelu_torch, anywhere, 'plain operators'),
        Backend('naive', gated_gelu_naive, anywhere, 'the definition'),
    ),
)


def gated_gelu(hidden: Tensor, backend: str = 'auto') -> Tensor:
    """Multiplies the second half of the channels by GELU (by erf) of the first half.

    Args:
        hidden: (..., 2 n).
        backend: auto, triton, torch or naive.

    Returns:
        (..., n), of hidden's type.

    Raises:
        ValueError: The number of channels is odd.
        RuntimeError: The named backend cannot run here.
    """
    if hidden.ndim < 1 or hidden.shape[-1] % 2:
        raise ValueError(f'hidden has the shape {tuple(hidden.shape)}; give (..., 2 n), gates before values.')
    return choose_backend(OP, backend, hidden.device.type).function(hidden)
