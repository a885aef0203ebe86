"""The encoding of fractions as it is defined, channel by channel: the reference."""

import math

import torch
from torch import Tensor

from gsm_plugin.ops._common.grid import places
from gsm_plugin.ops._common.sinusoids import EPSILON, wavelengths


def fraction_encoding_naive(target: Tensor, flow: Tensor, dtype: torch.dtype) -> Tensor:
    """Computes `fraction_encoding`, arguments and result as described there."""
    channels = target.shape[3]
    place = places(flow)
    x, y = ((place - place.floor()) / (2 + EPSILON) * (2 * math.pi)).unbind(1)
    scale = wavelengths(channels, flow.device)
    encoding = []
    for channel in range(channels):
        angle = (y if channel < channels // 2 else x) / scale[channel % (channels // 2)]
        encoding.append(angle.cos() if channel % 2 else angle.sin())
    frames = target.repeat_interleave(len(flow) // len(target), 0)
    return (frames + torch.stack(encoding, -1)).to(dtype)
