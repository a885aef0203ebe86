"""What lies on the canvas: a photograph behind, and objects before it that cover and uncover it."""

from dataclasses import dataclass

import cv2
import numpy as np

from gsm_plugin.data.synthetic.motion import Motion

_CORNERS = 72


@dataclass(frozen=True)
class Layer:
    """A picture in motion.

    Attributes:
        picture: (h, w, 3), uint8, BGR, which fills the canvas, or (h, w, 4) whose colours are multiplied by its alpha.
        motion: Where it lies.
    """

    picture: np.ndarray
    motion: Motion


def with_alpha(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """An object: colours (h, w, 3) and alpha (h, w), both uint8, as (h, w, 4), multiplied, with an empty border."""
    multiplied = cv2.multiply(colours, cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    return cv2.copyMakeBorder(np.dstack([multiplied, alpha]), 4, 4, 4, 4, cv2.BORDER_CONSTANT)


def draw_shape(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draws the outline of an object: a blob, or a fence of bars.

    Args:
        side: Height and width.
        rng: Source of randomness.

    Returns:
        Alpha, (side, side), uint8.
    """
    alpha = np.zeros((side, side), np.uint8)
    if rng.uniform() < 0.75:
        cv2.fillPoly(alpha, [_blob(side, rng)], 255, cv2.LINE_AA, shift=4)
    else:
        _draw_bars(alpha, rng)
    return cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.2))


def _blob(side: int, rng: np.random.Generator) -> np.ndarray:
    """Corners of a closed curve around the middle, in sixteenths of a pixel."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    radius = np.ones(_CORNERS)
    for wave in range(2, 8):
        radius += rng.uniform(0, 0.7 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius *= 0.48 * side / np.max(radius)
    squeeze = rng.uniform(0.4, 1.0)
    points = np.stack([radius * np.cos(angles), squeeze * radius * np.sin(angles)], axis=1) + side / 2
    return np.round(points * 16).astype(np.int32)


def _draw_bars(alpha: np.ndarray, rng: np.random.Generator) -> None:
    side = alpha.shape[0]
    angle, thickness = rng.uniform(0, np.pi), int(rng.integers(2, max(3, side // 10)))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    for number in range(-int(rng.integers(0, 4)), int(rng.integers(1, 4))):
        middle = side / 2 + across * number * thickness * rng.uniform(2, 4)
        ends = [np.round((middle + sign * along * side * 0.45) * 16).astype(int) for sign in (-1, 1)]
        cv2.line(alpha, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 255, thickness, cv2.LINE_AA, shift=4)
