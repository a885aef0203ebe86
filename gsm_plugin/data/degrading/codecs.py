"""Clips as video codecs leave them: encoded and decoded in memory, by PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from gsm_plugin.errors import UserError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

_RATE = 25
# Of frames smaller than its blocks of 64 pixels, x265 refuses some, and with others it writes where it must not; a
# frame of a single block differs from run to run.
_LEAST_SIDE = 128


@dataclass(frozen=True)
class Codec:
    """A video codec.

    Attributes:
        encoder: FFmpeg's name of it.
        decoder: FFmpeg's name of what undoes it.
        options: What makes it fast, and the same in every run.
    """

    encoder: str
    decoder: str
    options: dict[str, str]


# Blocks of one size, since x265 has one for the whole process.
_X265 = 'pools=none:frame-threads=1:ctu=64:log-level=none'

CODECS = {
    'h264': Codec('libx264', 'h264', {'preset': 'veryfast'}),
    'h265': Codec('libx265', 'hevc', {'preset': 'veryfast', 'x265-params': _X265}),
    'mpeg4': Codec('mpeg4', 'mpeg4', {}),
    'vp9': Codec('libvpx-vp9', 'vp9', {'deadline': 'realtime', 'cpu-used': '8'}),
}


@dataclass(frozen=True)
class Encoding:
    """How a clip is encoded.

    Attributes:
        codec: A key of `CODECS`.
        crf: Constant quality, or None for a bitrate.
        bitrate: Bits a pixel, where crf is None.
        gop: Frames from one key frame to the next.
    """

    codec: str
    crf: float | None
    bitrate: float
    gop: int


def check_pyav() -> None:
    """Refuses to go on without PyAV, which trainings without a codec do not need.

    Raises:
        UserError: It is missing.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise UserError(f'PyAV is missing ({error}); pip install av, or set degradation: codec: prob: 0.') from error


def recode(frames: Iterable[np.ndarray], encoding: Encoding) -> Iterator[np.ndarray]:
    """Encodes and decodes a clip, a few frames behind one another.

    Args:
        frames: (h, w, 3), uint8, BGR, all of one size.
        encoding: How.

    Yields:
        As many frames of that size.
    """
    import av

    decoder = _context(CODECS[encoding.codec].decoder, 'r')
    decoder.thread_count = 1
    encoder: VideoCodecContext | None = None
    shape: tuple[int, ...] = ()
    count = 0
    for number, frame in enumerate(frames):
        if encoder is None:
            height, width = _padded(frame).shape[:2]
            shape, encoder = frame.shape, _encoder(height, width, encoding)
        picture = av.VideoFrame.from_ndarray(_padded(frame), format='bgr24')
        picture.pts, picture.time_base = number, Fraction(1, _RATE)
        for packet in encoder.encode(picture):
            for decoded in decoder.decode(packet):
                count += 1
                yield _image(decoded, shape)
    if encoder is not None:
        for last in [*encoder.encode(None), None]:
            for decoded in decoder.decode(last):
                count += 1
                yield _image(decoded, shape)
        if count != number + 1:
            raise RuntimeError(f'{encoding} gave {count} frames for {number + 1}.')


def _context(name: str, mode: Literal['r', 'w']) -> VideoCodecContext:
    import av
    from av.video.codeccontext import VideoCodecContext

    context = av.CodecContext.create(name, mode)
    assert isinstance(context, VideoCodecContext)
    return context


def _encoder(height: int, width: int, encoding: Encoding) -> VideoCodecContext:
    codec = CODECS[encoding.codec]
    encoder = _context(codec.encoder, 'w')
    encoder.width, encoder.height, encoder.pix_fmt = width, height, 'yuv420p'
    encoder.time_base, encoder.framerate = Fraction(1, _RATE), Fraction(_RATE)
    encoder.thread_count, encoder.gop_size = 1, encoding.gop
    options = dict(codec.options)
    if encoding.crf is None:
        encoder.bit_rate = max(1000, round(encoding.bitrate * width * height * _RATE))
    elif encoding.codec == 'mpeg4':
        quantiser = str(round(encoding.crf))
        options |= {'qmin': quantiser, 'qmax': quantiser}
    else:
        options['crf'] = f'{encoding.crf:.1f}' if encoding.codec != 'vp9' else str(round(encoding.crf))
        encoder.bit_rate = 0
    encoder.options = options
    return encoder


def _padded(frame: np.ndarray) -> np.ndarray:
    """Repeats the last row and column up to an even number, since codecs halve the colours, of 128 or more."""
    missing = [max(_LEAST_SIDE - side, side % 2) for side in frame.shape[:2]]
    if missing == [0, 0]:
        return np.ascontiguousarray(frame)
    return cv2.copyMakeBorder(frame, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)


def _image(decoded: VideoFrame, shape: tuple[int, ...]) -> np.ndarray:
    return decoded.to_ndarray(format='bgr24')[: shape[0], : shape[1]]
