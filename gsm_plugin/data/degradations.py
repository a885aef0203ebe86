"""How test sets get their low resolution: BI and BD as the published scripts make them, and BD as DUF makes it.

They differ in kernel, border and sampling phase, and a network that was trained on one of them loses decibels on
another. BI is MATLAB's bicubic `imresize`, BD the script of the authors of BasicVSR (`BD_degradation.m`).
"""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from basicsr.data.data_util import duf_downsample

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.errors import UserError

_SIGMA = 1.6
_DUF_SIZE = 13


def degrade(image: np.ndarray, kind: str, scale: int = 4) -> np.ndarray:
    """Makes a frame of low resolution by name.

    Args:
        image: (h, w, 3), uint8 or uint16, both sides multiples of scale.
        kind: A key of `DEGRADATIONS`.
        scale: Enlargement that the network is to undo.

    Returns:
        (h / scale, w / scale, 3), of the same type and order of channels.

    Raises:
        UserError: The degradation is not known or not defined for this scale, or a side is no multiple of it or too
            short.
    """
    check_degradation(kind, scale)
    height, width = image.shape[:2]
    if height % scale or width % scale:
        raise UserError(f'A frame of {height}x{width} pixels is no multiple of scale {scale}; crop it first.')
    if min(height, width) < (least := least_side(kind, scale)):
        raise UserError(
            f'A frame of {height}x{width} pixels is too small for {kind} of scale {scale}, which needs '
            f'{least}x{least}; take a larger one.'
        )
    return DEGRADATIONS[kind](image, scale)


def check_degradation(kind: str, scale: int) -> None:
    """Refuses a degradation that is not known, or not defined for a scale; see `degrade`."""
    if kind not in DEGRADATIONS:
        raise UserError(f'No degradation is called {kind!r}; take one of {", ".join(DEGRADATIONS)}.')
    scales = {'bi': (2, 3, 4, 8), 'bd': (2, 4), 'bd-duf': (2, 3, 4)}[kind]
    if scale not in scales:
        raise UserError(f'{kind} is not defined for scale {scale}; take one of {", ".join(map(str, scales))}.')


def least_side(kind: str, scale: int) -> int:
    """Pixels that both sides of a frame need, so that its border can be mirrored as far as the kernel reaches."""
    return {'bi': 2 * scale, 'bd': scale, 'bd-duf': 2 * scale + _DUF_SIZE // 2 + 1}[kind]


def blur_down(image: np.ndarray, scale: int = 4) -> np.ndarray:
    """BD: Gaussian of sigma 1.6 in a 12x12 window, borders repeated, every `scale`-th pixel from the `scale/2`-th on.

    MATLAB's `imfilter` puts the origin of an even window left of its middle, so the blurred image is half a pixel off,
    which the sampling phase undoes: an LQ pixel lies in the middle of its GT pixels.

    Args:
        image: (h, w, 3), uint8 or uint16.
        scale: Even factor.

    Returns:
        (h / scale, w / scale, 3), of the same type.
    """
    size = int(np.ceil(_SIGMA * 3)) * 2 + 2
    offsets = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    anchor = ((size - 1) // 2,) * 2
    blurred = cv2.sepFilter2D(
        image.astype(np.float64), -1, kernel, kernel, anchor=anchor, borderType=cv2.BORDER_REPLICATE
    )
    return _rounded(blurred[scale // 2 - 1 :: scale, scale // 2 - 1 :: scale], image.dtype)


def blur_down_duf(image: np.ndarray, scale: int = 4) -> np.ndarray:
    """BD of DUF's code: Gaussian of sigma 0.4 scale in a 13x13 window, borders reflected, sampled from pixel 0 on.

    Args:
        image: (h, w, 3), uint8 or uint16.
        scale: 2, 3 or 4.

    Returns:
        (h / scale, w / scale, 3), of the same type. Its content lies (scale - 1) / 2 GT pixels off that of `blur_down`.
    """
    frame = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)
    return _rounded(duf_downsample(frame[None], _DUF_SIZE, scale)[0].permute(1, 2, 0).numpy(), image.dtype)


DEGRADATIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    'bi': lambda image, scale: resize_bicubic(image, 1 / scale),
    'bd': blur_down,
    'bd-duf': blur_down_duf,
}


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return values.round().clip(0, np.iinfo(dtype).max).astype(dtype)
