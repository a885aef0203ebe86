"""Depthwise 3x3x3 convolution over time and space, followed by GELU (arXiv 1606.08415)."""

from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, needs_numba, needs_triton
from gsm_plugin.ops.dispatch import Backend, compute, declare

OP = 'depthwise_conv_gelu'


declare(
    OP,
    Backend('triton', 'one pass over the volume for convolution, bias and GELU', needs_triton),
    Backend('numba', 'a loop compiled for this CPU', needs_numba, UP_TO_FLOAT32),
    Backend('torch', 'conv3d with one group per channel'),
    Backend('naive', 'the definition'),
)


def depthwise_conv_gelu(x: Tensor, weight: Tensor, bias: Tensor, backend: str = 'auto') -> Tensor:
    """Convolves every channel of a volume with its own 3x3x3 weights, adds a bias, and applies GELU (by erf).

    Beyond its six faces the volume is zero.

    Args:
        x: (b, t, h, w, c), channels-last.
        weight: (c, 3, 3, 3): time, height, width; taken to x's type.
        bias: (c), taken to x's type.
        backend: auto, triton, numba, torch or naive.

    Returns:
        (b, t, h, w, c), of x's type.

    Raises:
        ValueError: The shapes do not belong together.
        RuntimeError: The named backend cannot run here.
    """
    channels = x.shape[-1]
    if x.ndim != 5 or weight.shape != (channels, 3, 3, 3) or bias.shape != (channels,):
        raise ValueError(
            f'x has the shape {tuple(x.shape)}, weight {tuple(weight.shape)} and bias {tuple(bias.shape)}; '
            f'give (b, t, h, w, c), (c, 3, 3, 3) and (c).'
        )
    return compute(OP, backend, x, (x, weight, bias))
