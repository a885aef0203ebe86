"""The bicubic resizing that super-resolution data sets are made with and networks are compared against."""

import numpy as np
from basicsr.utils.matlab_functions import imresize


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
