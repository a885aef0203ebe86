"""Convolution of single frames, and enlargement by sub-pixel convolution (ESPCN, arXiv 1609.05158)."""

import math

from torch import Tensor, nn

from gsm_plugin.ops import convolve_3x3, shuffle_leaky_relu

SCALES = (1, 2, 3, 4, 8)


class FrameConv(nn.Conv3d):
    """A 3x3 convolution of each frame, kept as the published (1, 3, 3) Conv3d but computed in two dimensions.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, x: Tensor, factor: int = 1, slope: float = 1.0) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h, w), then a pixel shuffle and a LeakyReLU of that slope."""
        return shuffle_leaky_relu(convolve_3x3(x, self.weight.squeeze(2)), self.bias, factor, slope)


class Upsample(nn.Module):
    """Enlarges frames: per factor of two a convolution, a pixel shuffle and a LeakyReLU (0.1), then a convolution.

    Args:
        scale: 1, 2, 3, 4 or 8; 3 is one step.
        dim: Channels of input and output.

    Raises:
        ValueError: Another scale.
    """

    def __init__(self, scale: int, dim: int) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ValueError(f'upscale is {scale}; set one of {", ".join(map(str, SCALES))}.')
        self.factors = [3] if scale == 3 else [2] * round(math.log2(scale))
        # The published keys count five modules for each step.
        for i, factor in enumerate(self.factors):
            self.add_module(str(5 * i), FrameConv(dim, dim * factor**2))
        self.add_module(str(5 * len(self.factors)), FrameConv(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim, h, w) -> (n, dim, h * scale, w * scale)."""
        *steps, last = self.children()
        for conv, factor in zip(steps, self.factors, strict=True):
            x = conv(x, factor, slope=0.1)
        return last(x)
