"""Feed-forward networks: gated (GEGLU, arXiv 2002.05202), and with a depthwise 3D convolution."""

import torch
from torch import Tensor, nn

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


class _DepthwiseConvGelu(nn.Module):
    """The published keys have the convolution one level down: `dwconv.dwconv`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        assert self.dwconv.bias is not None
        return depthwise_conv_gelu(x, self.dwconv.weight[:, 0], self.dwconv.bias)
