"""What data sets that make their own LQ have in common: crops with a margin, flips, items."""

import random
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info


@dataclass(frozen=True)
class Window:
    """A square crop with what is computed around it, as far as the frame goes; in LQ pixels, rows before columns.

    Attributes:
        first: Where it begins in the frame, surroundings included.
        last: Where it ends.
        place: Where the crop begins in what lies between them.
        side: Of the crop.
    """

    first: tuple[int, int]
    last: tuple[int, int]
    place: tuple[int, int]
    side: int

    def with_surroundings(self, image: np.ndarray, scale: int) -> np.ndarray:
        """Cuts it out of a frame (h * scale, w * scale, 3)."""
        rows, columns = (slice(a * scale, b * scale) for a, b in zip(self.first, self.last, strict=True))
        return image[rows, columns]

    def crop(self, clip: np.ndarray, scale: int) -> np.ndarray:
        """Cuts the crop out of a clip (t, h, w, 3) of what `with_surroundings` gives."""
        rows, columns = (slice(place * scale, (place + self.side) * scale) for place in self.place)
        return clip[:, rows, columns]


def draw_window(size: tuple[int, int], side: int, margin: int, rng: np.random.Generator) -> Window:
    """Draws a crop of `side` pixels out of a frame of `size`, and takes `margin` pixels around it where they exist."""
    top, left = (int(rng.integers(length - side + 1)) for length in size)
    first = max(0, top - margin), max(0, left - margin)
    last = min(size[0], top + side + margin), min(size[1], left + side + margin)
    return Window(first, last, (top - first[0], left - first[1]), side)


def item_generator() -> np.random.Generator:
    """A generator for one item, seeded from Python's, which the training seeds for each sample."""
    return np.random.default_rng(random.getrandbits(64))


def one_thread_in_workers() -> None:
    """Keeps OpenCV to one thread in a worker process: there are as many workers as the machine serves."""
    if get_worker_info() is not None and cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)


def flip_and_turn(clips: list[np.ndarray], hflip: bool, rot: bool, rng: np.random.Generator) -> list[np.ndarray]:
    """Mirrors and transposes clips (t, h, h, 3) as BasicSR's `augment` does, each with probability one half."""
    mirror, upside_down, transpose = rng.uniform(size=3) < 0.5
    if hflip and mirror:
        clips = [clip[:, :, ::-1] for clip in clips]
    if rot and upside_down:
        clips = [clip[:, ::-1] for clip in clips]
    if rot and transpose:
        clips = [clip.transpose(0, 2, 1, 3) for clip in clips]
    return clips


def cut_border(clip: np.ndarray, border: int) -> np.ndarray:
    """Takes so many pixels off every side of a clip (t, h, w, 3)."""
    return clip[:, border : clip.shape[1] - border, border : clip.shape[2] - border]


def to_tensor(clip: np.ndarray) -> Tensor:
    """(t, h, w, 3), uint8, BGR, as (t, 3, h, w), float32, RGB in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(clip[..., ::-1].transpose(0, 3, 1, 2))).float().div_(255)
