"""A linear layer in training: both passes by TF32 or neither, and a bias's gradient summed in two steps."""

from torch import Tensor

from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'linear'

declare(
    OP,
    Backend('torch', 'products by PyTorch, in both passes as in the first'),
    Backend('naive', 'the definition'),
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, backend: str = 'auto') -> Tensor:
    """Multiplies rows by a matrix and adds a bias.

    With gradients on a GPU, torch sums that of the bias in two steps, in float32 at least. PyTorch sums the columns of
    a high matrix in one, which leaves most of a GPU idle. Where TF32 is on, it is for the gradients, too, even if it is
    off when they are computed.

    Args:
        x: (..., c).
        weight: (m, c).
        bias: (m,), or None.
        backend: auto, torch or naive.

    Returns:
        (..., m), under autocast of its type.
    """
    return compute(OP, backend, x, (x, weight, bias))
