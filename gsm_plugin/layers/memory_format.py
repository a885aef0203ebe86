"""Order of memory in which cuDNN convolves images."""

import torch
from torch import Tensor

from gsm_plugin.layers.precision import precision_of_products
from gsm_plugin.switches import tf32


def for_convolutions(x: Tensor) -> Tensor:
    """Images (n, c, h, w) in the order in which a GPU convolves them fastest: on tensor cores, channels last."""
    if runs_on_tensor_cores(x):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous() if x.is_cuda else x


def runs_on_tensor_cores(x: Tensor) -> bool:
    """Whether a convolution of x is in half precision, or in TF32, which PyTorch allows by default."""
    precision = precision_of_products(x)
    return x.is_cuda and (precision.itemsize == 2 or (precision == torch.float32 and tf32.convolutions.is_on()))
