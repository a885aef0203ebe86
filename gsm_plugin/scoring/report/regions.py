"""Where to look in a result: the region of an image that a comparison magnifies."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region:
    """A rectangle in an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """The region's part of an image: (h, w, ...) -> (height, width, ...)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def choose_region(output: np.ndarray, baseline: np.ndarray, gt: np.ndarray, size: tuple[int, int]) -> Region:
    """Finds the textured region where the output is most ahead of the baseline.

    Textured are the half of all regions with the larger variance in the ground truth; ahead means that the sum of
    squared errors is smaller.

    Args:
        output: (h, w, c), any real type.
        baseline: The same.
        gt: The same.
        size: Height and width of the region in pixels, at most those of the image.

    Raises:
        ValueError: The images differ in shape or the region does not fit.
    """
    if not output.shape == baseline.shape == gt.shape:
        raise ValueError(
            f'The images have the shapes {output.shape}, {baseline.shape} and {gt.shape}; they must be the same.'
        )
    if not all(0 < side <= limit for side, limit in zip(size, gt.shape, strict=False)):
        raise ValueError(
            f'A region of {size[0]}x{size[1]} does not fit an image of {gt.shape[0]}x{gt.shape[1]}; ask for a smaller.'
        )
    output, baseline, gt = (image.astype(np.float64) for image in (output, baseline, gt))
    gain = _box_sums(((baseline - gt) ** 2 - (output - gt) ** 2).sum(2), size)
    grey = gt.mean(2)
    variance = _box_sums(grey**2, size) - _box_sums(grey, size) ** 2 / (size[0] * size[1])
    gain[variance < np.median(variance)] = -np.inf
    top, left = np.unravel_index(np.argmax(gain), gain.shape)
    return Region(int(top), int(left), *size)


def _box_sums(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sums over all boxes of a size: (h, w) -> (h - size[0] + 1, w - size[1] + 1)."""
    table = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    height, width = size
    return table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
