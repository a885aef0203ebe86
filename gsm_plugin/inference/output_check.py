"""Finds frames of an output that hold values which are no numbers."""

import torch
from torch import Tensor


def frames_not_finite(output: Tensor) -> list[int]:
    """Numbers of the frames with a value that is NaN or infinite, without a copy of the clip.

    Args:
        output: (t, c, h, w).
    """
    lowest, highest = output.flatten(1).aminmax(dim=1)
    return (~(torch.isfinite(lowest) & torch.isfinite(highest))).nonzero().flatten().tolist()
