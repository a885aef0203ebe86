"""PyTorch's switches for TF32: float32 whose factors are rounded to 11 bits, for tensor cores of a GPU."""

from types import ModuleType

import torch

from gsm_plugin.ops._common.switch import Switch


def switch_of(older: ModuleType, newer: object | None) -> Switch:
    """The switch of an operation.

    Args:
        older: What has `allow_tf32`, as PyTorch wants to be asked up to 2.8.
        newer: What has `fp32_precision`, or None. PyTorch refuses the other question where this was set.
    """
    return Switch(older, 'allow_tf32') if newer is None else Switch(newer, 'fp32_precision', ('ieee', 'tf32'))


_is_new = hasattr(torch.backends.cudnn, 'conv')
products = switch_of(torch.backends.cuda.matmul, torch.backends.cuda.matmul if _is_new else None)
convolutions = switch_of(torch.backends.cudnn, torch.backends.cudnn.conv if _is_new else None)
