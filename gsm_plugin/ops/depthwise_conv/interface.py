"""Depthwise 3x3x3 convolution over time and space, followed by GELU (arXiv 1606.08415)."""

from torch import Tensor

from gsm_plugin.ops._common.requirements import UP_TO_FLOAT32, why_no_numba, why_no_triton
from gsm_plugin.ops.depthwise_conv.naive import depthwise_conv_gelu_naive
from gsm_plugin.ops.depthwise_conv.torch_impl import depthwise_conv_gelu_torch
from gsm_plugin.ops.dispatch import Backend, anywhere, choose_backend, declare

OP = 'depthwise_conv_gelu'


def _triton(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from gsm_plugin.ops.depthwise_conv.triton_impl import depthwise_conv_gelu_triton

    return depthwise_conv_gelu_triton(x, weight, bias)


def _numba(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from gsm_plugin.ops.depthwise_conv.numba_impl import depthwise_conv_gelu_numba

    return depthwise_conv_gelu_numba(x, weight, bias)


declare(
    OP,
    (
        Backend('triton', _triton, why_no_triton, 'one pass over the volume for convolution, bias and GELU'),
        Backend('numba', _numba, why_no_numba, 'a loop compiled for this CPU', UP_TO_FLOAT32),
        Backend('torch', depthwise_conv_gelu_torch, anywhere, 'conv3d with one group per channel'),
        Backend('naive', depthwise_conv_gelu_naive, anywhere, 'the definition'),
    ),
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
    return choose_backend(OP, backend, x.device.type, x.dtype).function(x, weight, bias)
