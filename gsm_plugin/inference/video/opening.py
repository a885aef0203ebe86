"""Opens a film, finds its video stream, and learns what its frames are; whatever is wrong is one sentence."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.logging import Capture
from av.sidedata.sidedata import Type
from av.stream import Disposition

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.containers import open_input
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.layout import LOCATIONS, Layout, is_planar, matrix_of

_FULL = 2
# Formats that hold the same samples in another order, and the planar ones that FFmpeg turns them into without loss.
_REPACKED = {
    'nv12': 'yuv420p', 'nv21': 'yuv420p', 'nv16': 'yuv422p', 'nv24': 'yuv444p', 'nv42': 'yuv444p',
    'p010le': 'yuv420p10le', 'p012le': 'yuv420p12le', 'p016le': 'yuv420p16le', 'p210le': 'yuv422p10le',
    'yuyv422': 'yuv422p', 'uyvy422': 'yuv422p', 'yvyu422': 'yuv422p',
    'yuva420p': 'yuv420p', 'yuva422p': 'yuv422p', 'yuva444p': 'yuv444p', 'yuva444p10le': 'yuv444p10le',
    'yuva422p10le': 'yuv422p10le', 'yuva444p12le': 'yuv444p12le', 'yuva420p10le': 'yuv420p10le',
    'rgb24': 'gbrp', 'bgr24': 'gbrp', 'rgb0': 'gbrp', 'bgr0': 'gbrp', '0rgb': 'gbrp', '0bgr': 'gbrp',
    'rgba': 'gbrp', 'bgra': 'gbrp', 'argb': 'gbrp', 'abgr': 'gbrp', 'gbrap': 'gbrp', 'pal8': 'gbrp',
    'rgb48le': 'gbrp16le', 'bgr48le': 'gbrp16le', 'rgba64le': 'gbrp16le', 'rgb48be': 'gbrp16le',
    'gbrap16le': 'gbrp16le', 'rgb555le': 'gbrp', 'rgb565le': 'gbrp', 'rgb8': 'gbrp',
    'ya8': 'gray', 'monow': 'gray', 'monob': 'gray', 'gray16be': 'gray16le',
}  # fmt: skip
# Codecs whose chroma lies in the middle where nothing else is said, as in JPEG.
_CENTERED = ('mjpeg', 'mpeg1video', 'h261', 'h263', 'flv1')
_TRANSPARENT = ('yuva', 'gbrap', 'rgba', 'bgra', 'argb', 'abgr', 'ya8')
_FIELDS = {2: 'top field first', 3: 'bottom field first', 4: 'top field first', 5: 'bottom field first'}


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a film.

    Raises:
        UserError: It is missing, no file, or nothing that FFmpeg knows.
    """
    if not path.is_file():
        raise UserError(f'{path} is missing or no file; correct its path.')
    if not path.stat().st_size:
        raise UserError(f'{path} is no film that can be read (it is empty); get it again.')
    try:
        container = open_input(path)
    except PermissionError as error:
        raise UserError(f'{path} cannot be read (permission denied); correct its permissions.') from error
    except (av.FFmpegError, ValueError) as error:
        raise UserError(f'{path} is no film that can be read ({reason(error)}); get it again.') from error
    try:
        yield container
    finally:
        container.close()


def reason(error: Exception) -> str:
    """What FFmpeg said, without numbers and paths."""
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first stream of frames; a cover picture is none.

    Raises:
        UserError: There is none, or none that can be decoded.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ', '.join(sorted({stream.type for stream in container.streams})) or 'nothing'
        raise UserError(f'{path} has no video stream ({kinds}); name a film.')
    if streams[0].codec_context is None or not streams[0].codec_context.is_decoder:
        raise UserError(f'{path} has video that FFmpeg here cannot decode; convert it first.')
    return streams[0]


def time_base_of(source: av.stream.Stream | av.VideoFrame | av.Packet) -> Fraction:
    """Seconds per unit of the time stamps of what comes out of a file, where they always have one."""
    assert source.time_base is not None
    return _exact(source.time_base)


def _exact(number: Any) -> Fraction:
    # PyAV 19 has rationals of its own, which are numbers, though its annotations do not say so
    return Fraction(number)


def learn(path: Path, deinterlace: bool = False) -> Facts:
    """What a film is, by its header and first frame.

    Args:
        path: The film.
        deinterlace: Whether interlaced frames are welcome.

    Raises:
        UserError: It has no video or no frame, is interlaced, or has colours or pixels that infer does not know.
    """
    with opened(path) as container:
        stream = video_stream(container, path)
        frame = _first_frame(container, stream, path)
        _check_interlaced(stream, frame, path, deinterlace)
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        turned = _side_data(frame, Type.DISPLAYMATRIX)
        return Facts(
            path,
            frame.height,
            frame.width,
            _layout(path, stream, frame),
            time_base_of(stream),
            _exact(rate),
            context.codec.canonical_name,
            int(frame.color_primaries),
            int(frame.color_trc),
            _exact(stream.sample_aspect_ratio or 1),
            struct.unpack('9i', turned[:36]) if turned else (),
            frame.rotation,
            _mastering(frame),
            float((stream.start_time or 0) * time_base_of(stream)),
            float(container.duration / av.time_base) if container.duration else None,
            transparent=frame.format.name.startswith(_TRANSPARENT),
            bit_rate=context.bit_rate or container.bit_rate or None,
            frames=stream.frames,
        )


def planar_format(pixel_format: str, where: str) -> str:
    """The planar format in which frames of a format are taken.

    Raises:
        UserError: There is none.
    """
    if is_planar(pixel_format):
        return pixel_format
    if pixel_format in _REPACKED:
        return _REPACKED[pixel_format]
    if pixel_format.endswith('be') and is_planar(little := pixel_format[:-2] + 'le'):
        return little
    raise UserError(f'{where} has pixels of format {pixel_format}, which infer does not know; convert it first.')


def _first_frame(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> av.VideoFrame:
    error = None
    try:
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    return frame
            except av.FFmpegError as failure:
                error = failure
    except av.FFmpegError as failure:
        error = failure
    why = f' ({reason(error)})' if error else ''
    raise UserError(f'{path} has no frame that can be decoded{why}; get it again.') from error


def _check_interlaced(stream: av.VideoStream, frame: av.VideoFrame, path: Path, deinterlace: bool) -> None:
    # PyAV 17 does not tell the order, and its frames have to do.
    order = _FIELDS.get(int(getattr(stream.codec_context, 'field_order', 0) or 0))
    if (frame.interlaced_frame or order) and not deinterlace:
        raise UserError(
            f'{path} is interlaced ({order or "by its frames"}); a network would take the combs for detail, '
            f'so give --deinterlace to make whole frames first.'
        )


def _layout(path: Path, stream: av.VideoStream, frame: av.VideoFrame) -> Layout:
    name = planar_format(frame.format.name, str(path))
    kind = Layout(name, False, 1).kind
    full = int(frame.color_range) == _FULL or name.startswith('yuvj') or kind == 'rgb'
    matrix = matrix_of(int(frame.colorspace), frame.height, kind, str(path))
    return Layout(name.replace('yuvj', 'yuv'), full, matrix, _location(path, stream))


def _location(path: Path, stream: av.VideoStream) -> str:
    """Where chroma lies: as the headers of the video say, which PyAV does not hand on, or as its codec has it."""
    name = stream.codec_context.codec.canonical_name
    lines = _header_lines(path, stream.index) if name in ('h264', 'hevc', 'av1') else []
    for line in lines:
        words = line.split()
        if 'chroma_sample_loc_type_top_field' in words:
            return LOCATIONS[min(int(words[-1]), len(LOCATIONS) - 1)]
        if 'chroma_sample_position' in words and int(words[-1]) in (1, 2):
            return ('left', 'topleft')[int(words[-1]) - 1]
    return 'center' if name in _CENTERED else 'left'


def _header_lines(path: Path, index: int) -> list[str]:
    level = av.logging.get_level()
    try:
        with opened(path) as container:
            stream = container.streams[index]
            av.logging.set_level(av.logging.TRACE)
            with Capture() as lines:
                parser = BitStreamFilterContext('trace_headers', stream)
                for packet in container.demux(stream):
                    parser.filter(packet)
                    break
    except av.FFmpegError:
        # Headers that cannot be parsed say nothing; decoding tells whether the film is good.
        pass
    finally:
        av.logging.set_level(level)
    return [text for _, name, text in lines if name == 'trace_headers']


def _side_data(frame: av.VideoFrame, kind: Type) -> bytes:
    # Asked for by its type: what comes out of a walk through them are the data up to PyAV 18, and from 19 on the types.
    every: Any = frame.side_data
    data = every.get(kind)
    return b'' if data is None else bytes(data)


def _named(cls: type[Type], value: int) -> Type:
    """A type of side data that PyAV has no name for.

    Up to PyAV 18 one of these hides all others of a frame by a ValueError, as EXIF in MJPEG of cameras does. PyAV
    19 names them in this way.
    """
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f'UNKNOWN_{value}', value
    cls._value2member_map_[value] = member
    return member


if '_missing_' not in vars(Type):
    Type._missing_ = classmethod(_named)  # type: ignore[assignment, method-assign]


def _mastering(frame: av.VideoFrame) -> tuple[str, ...]:
    """HDR metadata of the frame, as x265 takes it: lengths in 0.00002, luminances in 0.0001 candela."""
    options = []
    if light := _side_data(frame, Type.CONTENT_LIGHT_LEVEL):
        options.append('max-cll={},{}'.format(*struct.unpack('2I', light[:8])))
    display = _side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    if display and all(struct.unpack('2i', display[80:88])):
        pairs = list(struct.iter_unpack('2i', display[:80]))
        unit = [
            round(top / bottom * scale) for (top, bottom), scale in zip(pairs, [50000] * 8 + [10000] * 2, strict=True)
        ]
        red, green, blue, white = (f'({unit[i]},{unit[i + 1]})' for i in (0, 2, 4, 6))
        options.append(f'master-display=G{green}B{blue}R{red}WP{white}L({unit[9]},{unit[8]})')
    return tuple(options)
