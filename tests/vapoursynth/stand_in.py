"""The part of VapourSynth's Python interface that the function uses, for Pythons that have no VapourSynth.

Written from its documentation (Python Reference; std.BlankClip, std.ModifyFrame); frames are made when asked for.
"""

from types import SimpleNamespace

import numpy as np

RGB, YUV = 2, 3
INTEGER, FLOAT = 0, 1
_TYPES = {(INTEGER, 8): np.uint8, (INTEGER, 10): np.uint16, (INTEGER, 16): np.uint16}
_TYPES |= {(FLOAT, 16): np.float16, (FLOAT, 32): np.float32, (INTEGER, 32): np.uint32}


class VideoFormat(SimpleNamespace):
    """What a frame is made of."""


def _format(name, family, sample_type, bits):
    return VideoFormat(name=name, color_family=family, sample_type=sample_type, bits_per_sample=bits)


RGB24, RGB30, RGB48 = (_format(f'RGB{3 * bits}', RGB, INTEGER, bits) for bits in (8, 10, 16))
RGBH, RGBS = _format('RGBH', RGB, FLOAT, 16), _format('RGBS', RGB, FLOAT, 32)
YUV444P8 = _format('YUV444P8', YUV, INTEGER, 8)


class VideoFrame:
    """Three planes and properties; one that was given by a clip cannot be written to."""

    def __init__(self, planes, kind, props, is_writable=False):
        self.planes, self.format, self.props = planes, kind, dict(props)
        for plane in planes:
            plane.flags.writeable = is_writable

    def __getitem__(self, plane):
        return self.planes[plane]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def copy(self):
        return VideoFrame([plane.copy() for plane in self.planes], self.format, self.props, is_writable=True)


class VideoNode:
    """A clip."""

    def __init__(self, make, kind, width, height, num_frames):
        self._make, self.format, self.width, self.height, self.num_frames = make, kind, width, height, num_frames
        self.std = SimpleNamespace(BlankClip=self._blank, ModifyFrame=self._modify)

    def get_frame(self, n):
        if not 0 <= n < self.num_frames:
            raise IndexError(f'there is no frame {n}')
        return self._make(n)

    def _blank(self, width, height, keep):
        planes = [np.zeros((height, width), _TYPES[self.format.sample_type, self.format.bits_per_sample])] * 3
        return VideoNode(lambda n: VideoFrame(planes, self.format, {}), self.format, width, height, self.num_frames)

    def _modify(self, clips, selector):
        def make(n):
            made = selector(n=n, f=[clip.get_frame(n) for clip in clips])
            return VideoFrame(made.planes, made.format, made.props)

        return VideoNode(make, self.format, self.width, self.height, self.num_frames)
