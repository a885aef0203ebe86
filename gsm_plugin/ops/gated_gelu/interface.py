"""The gate of GEGLU (arXiv 2002.05202), between the two projections into it and the one out of it."""

from torch import Tensor

from gsm_plugin.ops._common.requirements import needs_triton
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'gated_gelu'


declare(
    OP,
    Backend('triton', 'one pass, and nothing but the input kept for the backward pass', needs_triton),
    Backend('torch', 'plain operators'),
    Backend('naive', 'the definition'),
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
    return compute(OP, backend, hidden, (hidden,))
