"""The bicubic resizing that super-resolution data sets are made with and networks are compared against."""

from functools import lru_cache

import numpy as np
from basicsr.utils.matlab_functions import calculate_weights_indices, imresize


def resize_bicubic(image: np.ndarray, factor: float) -> np.ndarray:
    """Resizes as MATLAB's bicubic `imresize` does on doubles, with its antialiasing, and rounds to the image's bits.

    Args:
        image: (h, w, 3), uint8 or uint16.
        factor: Size of the result relative to the image, above or below 1.

    Returns:
        (ceil(h * factor), ceil(w * factor), 3), of the same type and order of channels.
    """
    most = np.iinfo(image.dtype).max
    resized = imresize(image.astype(np.float32) / np.float32(most), factor)
    return (resized * most).round().clip(0, most).astype(image.dtype)


def shrink_bicubic(image: np.ndarray, scale: int) -> np.ndarray:
    """What `resize_bicubic` computes, as two products with matrices: fast enough for training sets.

    Sums are taken in another order, so that one in a thousand values, between two levels, rounds the other way.

    Args:
        image: (h, w, 3), uint8 or float32, both sides multiples of scale.
        scale: Whole factor to shrink by.

    Returns:
        (h / scale, w / scale, 3), float32, neither rounded nor limited to the range of the input.
    """
    height, width = image.shape[:2]
    rows, columns = _shrinking_matrix(height, scale), _shrinking_matrix(width, scale)
    shrunk = (rows @ image.reshape(height, -1).astype(np.float32)).reshape(-1, width, 3)
    return columns @ shrunk


@lru_cache(maxsize=16)
def _shrinking_matrix(length: int, scale: int) -> np.ndarray:
    """(length / scale, length): the weights of `imresize`, with those of its mirrored border folded in."""
    size = length // scale
    weights, indices, border, _ = calculate_weights_indices(length, size, 1 / scale, 'cubic', 4, True)
    places = indices.numpy().astype(int) - border
    places = np.where(places < 0, -1 - places, places)
    places = np.where(places >= length, 2 * length - 1 - places, places)
    matrix = np.zeros((size, length), np.float32)
    np.add.at(matrix, (np.arange(size)[:, None], places), weights.numpy())
    return matrix
