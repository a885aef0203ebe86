"""A film to measure with: textures in motion, cuts, and sound."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

from gsm_plugin.inference.video.containers import open_output

_RATE, _SOUND_RATE, _SOUND_STEP = 25, 48000, 1024
# frames of a scene, and pixels by which its picture circles
_SCENE_FRAMES, _REACH = 250, 32


def write_film(path: Path, frames: int, height: int, width: int) -> None:
    """Writes H.264 with AAC, 25 frames a second, a new scene every ten seconds.

    Args:
        path: The film, whose folder is there.
        frames: How many.
        height: Rows, an even number.
        width: Columns, an even number.
    """
    with open_output(path, 'mp4') as film:
        video = film.add_stream('libx264', rate=_RATE, options={'crf': '18'})
        video.width, video.height, video.pix_fmt = width, height, 'yuv420p'
        sound = film.add_stream('aac', rate=_SOUND_RATE, layout='mono')
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(_picture(number, height, width), format='rgb24')
            picture.pts = number
            film.mux(video.encode(picture))
        film.mux(video.encode(None))
        for samples in _tone(frames * _SOUND_RATE // _RATE):
            film.mux(sound.encode(samples))
        film.mux(sound.encode(None))


def _picture(number: int, height: int, width: int) -> np.ndarray:
    """A frame (height, width, 3) of uint8: the texture of its scene, seen through a window that circles over it."""
    scene, time = divmod(number, _SCENE_FRAMES)
    x, y = _REACH * (1 + np.cos(time / 40)), _REACH * (1 + np.sin(time / 30))
    shift = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return cv2.warpAffine(_texture(scene, height + 2 * _REACH, width + 2 * _REACH), shift, (width, height))


@lru_cache(maxsize=1)
def _texture(scene: int, height: int, width: int) -> np.ndarray:
    """Detail of all sizes, as photographs have it: (height, width, 3) of uint8."""
    rng = np.random.default_rng(scene)
    texture = np.zeros((height, width, 3), np.float32)
    for side in (2, 8, 32):
        coarse = rng.random((height // side + 2, width // side + 2, 3), np.float32)
        texture += side**0.5 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = texture.min(), texture.max()
    return (255 * (texture - low) / (high - low)).astype(np.uint8)


def _tone(samples: int) -> Iterator[av.AudioFrame]:
    tone = 0.2 * np.sin(2 * np.pi * 440 / _SOUND_RATE * np.arange(samples)).astype(np.float32)
    for start in range(0, samples, _SOUND_STEP):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + _SOUND_STEP], format='fltp', layout='mono')
        frame.sample_rate, frame.pts = _SOUND_RATE, start
        yield frame
