"""The parameters of SPyNet (arXiv 1611.00850), with the names and sizes that BasicSR gives them."""

from itertools import pairwise

import torch
from torch import Tensor, nn

LEVELS = 6
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SpyNet(nn.Module):
    """A convolutional network for each level of an image pyramid; `archs/flow_estimation.py` runs them.

    BasicSR's own class cannot be had without OpenCV and all of BasicSR.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.basic_module = nn.ModuleList(_Level() for _ in range(LEVELS))
        self.register_buffer('mean', torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor(_STD).view(1, 3, 1, 1))

    def preprocess(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) in [0, 1], with the mean and deviation of ImageNet taken out."""
        return (images - self.mean) / self.std


class _Level(nn.Module):
    """Improves the flow of a level: (n, 8, h, w), both images and the flow so far, to (n, 2, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 8, 32, 64, 32, 16, 2
        for i, (before, after) in enumerate(pairwise(channels)):
            layers += [nn.ReLU()] if i else []
            layers.append(nn.Conv2d(before, after, 7, padding=3))
        self.basic_module = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.basic_module(x)
