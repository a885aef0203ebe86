"""Sub-pixel convolution by its definition, tap by tap, and that of what follows: the reference."""

import torch
from torch import Tensor
from torch.nn import functional as F

from gsm_plugin.ops.shuffle_leaky_relu.naive import shuffle_leaky_relu_naive


def sub_pixel_convolution_naive(x: Tensor, weight: Tensor, bias: Tensor, factor: int, slope: float) -> Tensor:
    """Computes `sub_pixel_convolution`, arguments and result as described there."""
    (h, w), side = x.shape[2:], weight.shape[-1]
    padded = F.pad(x, (side // 2,) * 4)
    taps = [
        torch.einsum('mc,nchw->nmhw', weight[:, :, i, j], padded[:, :, i : i + h, j : j + w])
        for i in range(side)
        for j in range(side)
    ]
    return shuffle_leaky_relu_naive(torch.stack(taps).sum(0), bias, factor, slope)
