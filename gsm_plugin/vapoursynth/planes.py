"""Between frames of VapourSynth, three planes of whole numbers or floats, and arrays (h, w, 3) in [0, 1]."""

import numpy as np
import vapoursynth as vs

from gsm_plugin.errors import UserError

_MOST_BITS = 16


def check_format(clip: vs.VideoNode) -> None:
    """Refuses clips that are not RGB of 8 to 16 bits, half or float, of one size and format.

    Raises:
        UserError: The clip is another one.
    """
    if clip.format is None or not clip.width or not clip.height:
        raise UserError('The clip changes its size or format; make it constant, as by resize.Bicubic.')
    is_float = clip.format.sample_type == vs.FLOAT
    if clip.format.color_family != vs.RGB or not (is_float or clip.format.bits_per_sample <= _MOST_BITS):
        raise UserError(
            f'The clip is {clip.format.name}; make it RGB of 8 to 16 bits, half or float, as by '
            f'resize.Bicubic(format=vs.RGBS, matrix_in_s="709").'
        )


def frames_to_array(clip: vs.VideoNode, start: int, stop: int) -> np.ndarray:
    """Frames as the network takes them, (t, h, w, 3), float32 in [0, 1]."""
    most = _largest(clip.format)
    frames = []
    for n in range(start, stop):
        with clip.get_frame(n) as frame:
            planes = [np.asarray(frame[plane]).astype(np.float32) for plane in range(3)]
        frames.append(np.stack(planes, -1))
    return np.stack(frames) / np.float32(most)


def write_frame(frame: vs.VideoFrame, values: np.ndarray) -> None:
    """Writes (h, w, 3), floats in about [0, 1], into a frame: whole numbers are rounded and clipped."""
    most = _largest(frame.format)
    for plane in range(3):
        there = np.asarray(frame[plane])
        own = values[..., plane]
        if frame.format.sample_type == vs.INTEGER:
            own = np.rint(np.clip(own, 0, 1) * np.float32(most))
        there[...] = own.astype(there.dtype)


def _largest(kind: vs.VideoFormat) -> int:
    """What white is."""
    return 2**kind.bits_per_sample - 1 if kind.sample_type == vs.INTEGER else 1
