"""The bicubic resizing that super-resolution data sets are made with and networks are compared against."""

import numpy as np
from basicsr.utils.matlab_functions import imresize


def resize_bicubic(image: np.ndarray, factor: float) -> np.ndarray:
    """Resizes as MATLAB's bicubic `imresize` does on doubles, with its antialiasing, and rounds to 8 bit.

    Args:
        image: (h, w, 3), uint8.
        factor: Size of the result relative to the image, above or below 1.

    Returns:
        (ceil(h * factor), ceil(w * factor), 3), uint8, in the same order of channels.
    """
    resized = imresize(image.astype(np.float32) / 255.0, factor)
    return (resized * 255.0).round().clip(0, 255).astype(np.uint8)
