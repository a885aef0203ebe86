"""PyTorch's switches for TF32: float32 whose factors are rounded to 11 bits, for tensor cores of a GPU."""

import torch

from gsm_plugin.switches.switch import Switch


def switch_of(older: object, newer: object | None) -> Switch:
    """The switch of an operation.

    Args:
        older: What has `allow_tf32`, as PyTorch wants to be asked up to 2.8.
        newer: What has `fp32_precision`, or None. PyTorch refuses the other question where this was set.
    """
    return Switch(older, 'allow_tf32') if newer is None else Switch(newer, 'fp32_precision', ('ieee', 'tf32'))


_convolutions = getattr(torch.backends.cudnn, 'conv', None)
products = switch_of(torch.backends.cuda.matmul, None if _convolutions is None else torch.backends.cuda.matmul)
convolutions = switch_of(torch.backends.cudnn, _convolutions)
