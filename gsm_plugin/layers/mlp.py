"""The two feed-forward networks of GSM: gated (GEGLU, arXiv 2002.05202), and with a depthwise 3D convolution."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedMlp(nn.Module):
    """`fc2(gelu(fc11(x)) * fc12(x))`.

    Args:
        dim: Channels of input and output.
        hidden_dim: Channels in between.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc11 = nn.Linear(dim, hidden_dim)
        self.fc12 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.fc2(F.gelu(self.fc11(x)) * self.fc12(x))


class ConvMlp(nn.Module):
    """`fc2(gelu(dwconv(fc1(x))))` with a depthwise 3x3x3 convolution over time and space.

    Args:
        dim: Channels of input and output.
        hidden_dim: Channels in between.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.dwconv = _DepthwiseConv(hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, h, w, dim) -> the same."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(x))))


class _DepthwiseConv(nn.Module):
    """The published keys have the convolution one level down: `dwconv.dwconv`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return torch.movedim(self.dwconv(torch.movedim(x, -1, 1)), 1, -1)
