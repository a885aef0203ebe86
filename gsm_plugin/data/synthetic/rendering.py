"""Frames of layers in motion, seen through a shutter."""

import math

import cv2
import numpy as np

from gsm_plugin.data.synthetic.layers import Layer
from gsm_plugin.data.synthetic.motion import greatest_step

# A way of so many pixels between two moments of one exposure shows no gaps.
_PIXELS_A_MOMENT = 1.5
_MOST_MOMENTS = 9


def render(layers: list[Layer], times: list[float], side: int, shutter: float = 0.0) -> np.ndarray:
    """Draws a clip.

    Args:
        layers: From behind to the front; the first one fills the canvas.
        times: When the frames are taken, in frames.
        side: Height and width of the canvas, pixels.
        shutter: How long each exposure takes, in frames; 0 is without blur.

    Returns:
        (t, side, side, 3), uint8, BGR.
    """
    moments = 1
    if shutter:
        way = shutter * max(greatest_step(layer.motion, times, side) for layer in layers)
        moments = min(max(1, math.ceil(way / _PIXELS_A_MOMENT)), _MOST_MOMENTS)
    if moments == 1:
        return np.stack([_draw(layers, time, side) for time in times])
    offsets = shutter * ((np.arange(moments) + 0.5) / moments - 0.5)
    return np.stack([_expose(layers, [time + offset for offset in offsets], side) for time in times])


def _expose(layers: list[Layer], moments: list[float], side: int) -> np.ndarray:
    total = np.zeros((side, side, 3), np.float32)
    for moment in moments:
        # The blur hides what a better filter keeps.
        cv2.accumulate(_draw(layers, moment, side, cv2.INTER_LINEAR), total)
    return np.rint(total / len(moments)).astype(np.uint8)


def _draw(layers: list[Layer], time: float, side: int, filter_flag: int = cv2.INTER_CUBIC) -> np.ndarray:
    behind, *before = layers
    canvas = _seen(behind, time, side, filter_flag, cv2.BORDER_REFLECT_101)
    for layer in before:
        seen = _seen(layer, time, side, filter_flag, cv2.BORDER_CONSTANT)
        rest = cv2.cvtColor(255 - seen[..., 3], cv2.COLOR_GRAY2BGR)
        canvas = cv2.add(cv2.multiply(canvas, rest, scale=1 / 255), seen[..., :3])
    return canvas


def _seen(layer: Layer, time: float, side: int, filter_flag: int, border: int) -> np.ndarray:
    flags = filter_flag | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(layer.picture, layer.motion.matrix(time), (side, side), flags=flags, borderMode=border)
