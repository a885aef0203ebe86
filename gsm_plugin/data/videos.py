"""Frames out of video files."""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.containers import open_input

# Containers that OpenCV's FFmpeg opens; a folder or an image is not taken for a video.
VIDEO_SUFFIXES = ('.mp4', '.mov', '.mkv', '.avi', '.webm', '.m4v', '.mpg', '.mpeg', '.ts', '.mts', '.wmv', '.y4m')


def decode_video(path: Path) -> Iterator[np.ndarray]:
    """Decodes a video one frame at a time, turned as its file says.

    Args:
        path: Video file.

    Yields:
        (h, w, 3), uint8, BGR.

    Raises:
        UserError: The file is missing or not a video that OpenCV can read.
    """
    capture = _open(path)
    try:
        while (decoded := capture.read())[0]:
            yield decoded[1]
    finally:
        capture.release()


def announced_frames(path: Path) -> int | None:
    """How many frames the header of a video promises, or None where it does not tell.

    Raises:
        UserError: The file is missing or not a video that OpenCV can read.
    """
    capture = _open(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    capture.release()
    return count if count > 0 else None


def crop_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Cuts an image (h, w, ...) on the right and below to a multiple of a number of pixels."""
    height, width = image.shape[:2]
    return image[: height - height % multiple, : width - width % multiple]


def _open(path: Path) -> cv2.VideoCapture:
    # FFmpeg would take names such as `frames%03d.png` or an address for a video too.
    capture = cv2.VideoCapture(str(path)) if path.is_file() and _is_video(path) else None
    if capture is None or not capture.isOpened():
        raise UserError(f'{path} is missing or not a video that OpenCV can read; correct its path, or get it again.')
    return capture


def _is_video(path: Path) -> bool:
    """Asks FFmpeg through PyAV, where it is silent; in OpenCV it writes lines of its own about what it cannot open."""
    try:
        with open_input(path) as container:
            return bool(container.streams.video)
    except PermissionError as error:
        raise UserError(f'{path} cannot be read (permission denied); correct its permissions.') from error
    except (av.FFmpegError, ValueError):
        return False
