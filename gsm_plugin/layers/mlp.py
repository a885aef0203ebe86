"""Feed-forward networks: gated (GEGLU, arXiv 2002.05202), and with a depthwise 3D convolution."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gsm_plugin.layers.linear import Linear
from gsm_plugin.ops import depthwise_conv_gelu, gated_gelu, linear


class GatedMlp(nn.Module):
    """`fc2(gelu(fc11(x)) * fc12(x))`.

    Args:
        dim: Channels of the input.
        hidden_dim: Channels in between.
        out_dim: Channels of the output; None for as many as of the input.
    """

    def __init__(self, dim: int, hidden_dim: int, out_dim: int | None = None) -> None:
        super().__init__()
        self.fc11 = nn.Linear(dim, hidden_dim)
        self.fc12 = nn.Linear(dim, hidden_dim)
        self.fc2 = Linear(hidden_dim, dim if out_dim is None else out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., out_dim)."""
        # One product of matrices reads x once, and leaves what the gate needs side by side.
        weight = torch.cat((self.fc11.weight, self.fc12.weight))
        bias = torch.cat((self.fc11.bias, self.fc12.bias))
        return self.fc2(gated_gelu(linear(x, weight, bias)))


class ConvMlp(nn.Module):
    """`fc2(gelu(dwconv(fc1(x))))` with a depthwise 3x3x3 convolution over time and space.

    Args:
        dim: Channels of input and output.
        hidden_dim: Channels in between.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.dwconv = _DepthwiseConvGelu(hidden_dim)
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        return self.fc2(self.dwconv(self.fc1(x)))

    def weights_in(self, dtype: torch.dtype) -> 'ConvMlpWeights':
        """Weights as they are read, matrices in the type in which they are multiplied, for `add_all_but_bias`."""
        # taps contiguous over channels, as the kernel reads them
        taps = self.dwconv.dwconv.weight[:, 0].movedim(0, -1).contiguous().movedim(-1, 0)
        return ConvMlpWeights(self.fc1.weight.to(dtype), self.fc1.bias.to(dtype), taps, self.fc2.weight.to(dtype))

    def add_all_but_bias(self, x: Tensor, wanted: slice, total: Tensor, weights: 'ConvMlpWeights') -> None:
        """Adds its result, without the bias of `fc2`, to some of the frames, which the product of matrices does.

        Args:
            x: (b, t, h, w, dim), of the type of `total`; without gradients.
            wanted: Frames of x.
            total: What is added to, as many frames; those of a clip are contiguous.
            weights: Result of `weights_in` for that type.
        """
        with torch.autocast(x.device.type, enabled=False):
            hidden = F.linear(x, weights.fc1, weights.fc1_bias)
            hidden = depthwise_conv_gelu(hidden, weights.taps, self.dwconv.dwconv.bias)[:, wanted]
            for clip, addend in zip(total, hidden, strict=True):
                clip.view(-1, clip.shape[-1]).addmm_(addend.flatten(0, -2), weights.fc2.t())


class ConvMlpWeights(NamedTuple):
    """Weights of a `ConvMlp`: (hidden_dim, dim), (hidden_dim,), (hidden_dim, 3, 3, 3) and (dim, hidden_dim)."""

    fc1: Tensor
    fc1_bias: Tensor
    taps: Tensor
    fc2: Tensor


class _DepthwiseConvGelu(nn.Module):
    """The published keys have the convolution one level down: `dwconv.dwconv`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv_gelu(x, self.dwconv.weight[:, 0], self.dwconv.bias)
