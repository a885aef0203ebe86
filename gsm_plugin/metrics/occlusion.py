"""Errors of what neighbouring frames hide and of what they show, apart."""

from collections.abc import Sequence

import numpy as np

# A flow leads back where |f + b|^2 <= SLACK (|f|^2 + |b|^2) + FLOOR (Sundaram et al., ECCV 2010), pixels.
SLACK, FLOOR = 0.01, 0.5
# Of frames for DIS flows, which refuses smaller ones.
_LEAST_SIDE = 16


def hidden_in(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Which pixels of a frame the one before it does not show, by DIS flows (Kroeger et al., ECCV 2016).

    Args:
        before: (h, w, 3), uint8, BGR.
        now: The frame after it.

    Returns:
        (h, w), see `hidden_before`.
    """
    import cv2

    height, width = now.shape[:2]
    missing = 0, max(0, _LEAST_SIDE - height), 0, max(0, _LEAST_SIDE - width)
    earlier, later = (
        cv2.copyMakeBorder(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), *missing, cv2.BORDER_REPLICATE)
        for image in (before, now)
    )
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow, back = (np.zeros((*earlier.shape, 2), np.float32) for _ in range(2))
    finder.calc(later, earlier, flow)
    finder.calc(earlier, later, back)
    return hidden_before(*(np.ascontiguousarray(one[:height, :width]) for one in (flow, back)))


def hidden_before(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Which pixels of a frame the frame before it does not show, as far as flows tell.

    Args:
        flow: From the frame to the one before, on the grid of the frame, (h, w, 2), pixels, x then y.
        back: From the one before to the frame, on the grid of the one before, likewise.

    Returns:
        (h, w), true where the flow leads out of the frame, or into it and not back.
    """
    import cv2

    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed, out, home = (np.square(one).sum(-1) for one in (flow + returned, flow, returned))
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ~inside | (missed > SLACK * (out + home) + FLOOR)


def squared_errors(pair: Sequence[np.ndarray], hidden: np.ndarray) -> tuple[float, float]:
    """The two parts of the mean squared error of a frame: of hidden pixels, and of the others.

    Args:
        pair: Output and ground truth, (h, w, 3), uint8.
        hidden: (h, w), see `hidden_before`.

    Returns:
        Their sum is the mean squared error, of samples of 8 bits.
    """
    output, gt = (image.astype(np.float64) for image in pair)
    errors = np.square(output - gt).mean(-1)
    return float((errors * hidden).mean()), float((errors * ~hidden).mean())
