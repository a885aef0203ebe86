"""Small films and stand-ins for networks, which tests make for themselves."""

from fractions import Fraction

import av
import cv2
import numpy as np
import torch

from gsm_plugin.inference.video.job import inspect, plan_job
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.reading import Reading


class Nearest:
    """Repeats pixels; of scale 1 it changes nothing."""

    def __init__(self, scale=1):
        self.scale, self.device, self.precision, self.name = scale, torch.device('cpu'), 'fp32', 'nearest'
        self.frames_with_room, self.seen = 40, []

    def restore(self, clip):
        self.seen.append(clip.shape[1])
        return clip.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


class MeanOverTime(Nearest):
    """Every frame becomes the mean of all that it sees, so that what crosses a cut shows."""

    def restore(self, clip):
        return super().restore(clip * 0.5 + clip.mean(1, keepdim=True) * 0.5)


class Quiet:
    """Hears everything and says nothing."""

    def __init__(self):
        self.lines, self.frames = [], 0

    def say(self, text):
        self.lines.append(text)

    def reading(self, frames):
        pass

    def begin(self, frames, done, windows):
        self.done = done

    def window_begins(self, frames):
        pass

    def part(self, text):
        pass

    def window_ends(self, frames):
        pass

    def wrote(self, frames):
        self.frames += frames

    def stage(self, name, seconds):
        pass

    def window(self, segment, number, seen, output):
        pass


def planned(request, network, watcher):
    """The job of a request."""
    return plan_job(request, network, inspect(request, network.scale, watcher))


def scene(frames, height=48, width=64, seed=0, depth=8, level=0):
    """Frames with a texture that moves, (t, 3, h, w) of codes."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((3, height // 8 + 2, (width + frames) // 8 + 2))
    texture = np.stack([cv2.resize(plane, (width + frames, height)) for plane in coarse]) * 2**depth // 4
    base = level or rng.integers(2**depth // 8, 2**depth // 2)
    codes = np.stack([texture[..., i : i + width] + base for i in range(frames)])
    return codes.clip(0, 2**depth - 1).astype(np.int32)


def make_film(
    path,
    codes,
    pixel_format='yuv420p',
    codec='ffv1',
    stamps=None,
    time_base=Fraction(1, 12800),
    full=False,
    matrix=1,
    primaries=1,
    transfer=1,
    aspect=Fraction(1),
    options=None,
    container_options=None,
    rate=25,
):
    """Encodes codes (t, 3, h, w), whose chroma is taken from a corner where it has fewer samples."""
    stamps = [512 * i for i in range(len(codes))] if stamps is None else stamps
    with av.open(str(path), 'w', container_options=container_options or {}) as target:
        stream = target.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = codes.shape[3], codes.shape[2], pixel_format
        context = stream.codec_context
        context.time_base, context.color_range = time_base, 2 if full else 1
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.sample_aspect_ratio = aspect
        for picture, stamp in zip(codes, stamps, strict=True):
            frame = frame_of(picture, pixel_format)
            frame.pts, frame.time_base = stamp, time_base
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return path


def frame_of(picture, pixel_format):
    frame = av.VideoFrame(picture.shape[2], picture.shape[1], pixel_format)
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    for plane, codes in zip(frame.planes, picture, strict=False):
        samples = np.zeros((plane.height, plane.line_size // np.dtype(dtype).itemsize), dtype)
        samples[:, : plane.width] = codes[: plane.height, : plane.width]
        content = samples.tobytes()
        plane.update(content + bytes(plane.buffer_size - len(content)))
    return frame


def read_film(path, **how):
    """All pictures of a film."""
    return list(Reading(learn(path), **how).pictures())


def largest_difference(pictures, others):
    """Over all samples of all planes of two films."""
    assert len(pictures) == len(others)
    return max(
        np.abs(a.astype(int) - b.astype(int)).max()
        for picture, other in zip(pictures, others, strict=True)
        for a, b in zip(picture.planes, other.planes, strict=True)
    )
