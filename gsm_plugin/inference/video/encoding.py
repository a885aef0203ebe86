"""The encoder of a film: chosen once, opened anew for every segment, so that a segment depends on its frames alone."""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.logging import Capture

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.layout import LOCATIONS, Layout, is_written, output_layout

_GLOBAL_HEADER = 1 << 22
# What plays everywhere: H.264 for 8 bits; for more, H.265, which more devices decode than H.264 of 10 bits.
_CODEC, _DEEP_CODEC, _WEB_CODEC = 'libx264', 'libx265', 'libvpx-vp9'
_CRF = {'libx264': 18, 'libx265': 18, 'libsvtav1': 24, 'libvpx-vp9': 24}
_PRESETS = {'libx264': 'medium', 'libx265': 'medium', 'libsvtav1': '6'}
# Options that set the quality in another way than crf does.
_OTHER_QUALITY = ('crf', 'qp', 'b', 'cq', 'global_quality')
_TAGS = {'hevc': 'hvc1'}
# Options that follow from frames and their time stamps, and what to give instead: FFmpeg would take them, and read
# samples as what they are not, or cut frames.
_OF_FRAMES = {
    'pixel_format': 'give --pix-fmt',
    'video_size': 'give -s',
    'time_base': 'leave it out',
    'colorspace': 'leave it out',
    'color_range': 'leave it out',
    'chroma_sample_location': 'leave it out',
}
# What x264 and x265 do not let FFmpeg know, and would say in lines of their own. Presets have numbers as well.
_CRF_RANGES = {'libx264': (0, 51), 'libx265': (0, 51)}
_SPEEDS = ('ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', 'veryslow', 'placebo')
_WORDS = {
    'libx264': {
        'preset': _SPEEDS,
        'tune': ('film', 'animation', 'grain', 'stillimage', 'psnr', 'ssim', 'fastdecode', 'zerolatency'),
        'profile': ('baseline', 'main', 'high', 'high10', 'high422', 'high444'),
    },
    'libx265': {
        'preset': _SPEEDS,
        'tune': ('psnr', 'ssim', 'grain', 'zerolatency', 'fastdecode', 'animation'),
    },
}
# How FFmpeg says that it does not take a value.
_OUT_OF_RANGE = re.compile(r"Value (?P<value>\S+) for parameter '(?P<name>[^']+)' out of range \[(?P<range>.+)\]")
_NO_VALUE = re.compile(r'Unable to parse "(?P<name>[^"]+)" option value "(?P<value>.*)"')
_NO_PARAMETER = re.compile(
    'Error parsing option|Unknown option|Invalid value for|Failed to set parameter', re.IGNORECASE
)
# What follows the reason where an encoder has threads of its own.
_OF_THREADS = re.compile('ff_frame_thread_encoder_init failed')
# Profiles of DNxHR, which is DNxHD of any size.
_DNXHR = {'yuv422p': 'dnxhr_hq', 'yuv422p10le': 'dnxhr_hqx'}
# From here on the end of a range is that of a type; and a number that is in no range that has an end.
_ENDLESS, _FAR_OFF = 1e9, '1e30'
_REFUSALS = (av.FFmpegError, ValueError, OverflowError)


@dataclass(frozen=True)
class Wishes:
    """What the user wants of the encoder; None takes the default.

    Attributes:
        codec: FFmpeg's name of an encoder.
        crf: Quality, lower is better.
        preset: Speed against size.
        pixel_format: Of the output.
        options: Further options of the encoder, `name=value`.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """An encoder with all that its output depends on.

    Attributes:
        codec: FFmpeg's name.
        options: Its options.
        layout: What samples mean.
        height: Rows of a frame.
        width: Columns of a frame.
        time_base: Seconds per unit of time stamps.
        rate: Frames per second, on average.
        pixel_aspect: Width over height of a pixel.
        primaries: Number of ITU-T H.273.
        transfer: Number of ITU-T H.273.
        instead_of: The pixel format that would have been written if the encoder took it; None where it does.
    """

    codec: str
    options: dict[str, str] = field(hash=False)
    layout: Layout
    height: int
    width: int
    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction
    primaries: int
    transfer: int
    instead_of: str | None = None

    def configure(self, context: av.VideoCodecContext, global_header: bool) -> None:
        """Prepares a context that is not open yet.

        Args:
            context: Of the encoder.
            global_header: Whether headers go to the container's beginning.
        """
        context.width, context.height, context.pix_fmt = self.width, self.height, self.layout.pixel_format
        context.time_base, context.framerate = self.time_base, self.rate
        context.sample_aspect_ratio = self.pixel_aspect
        context.color_range = 2 if self.layout.full_range else 1
        context.colorspace = self.layout.matrix
        context.color_primaries, context.color_trc = self.primaries, self.transfer
        if global_header:
            context.flags |= _GLOBAL_HEADER
        if tag := _TAGS.get(context.codec.canonical_name):
            context.codec_tag = tag
        context.options = dict(self.options)

    def opened(self, global_header: bool) -> av.VideoCodecContext:
        """A context ready to encode.

        Raises:
            UserError: The encoder refuses its options.
        """
        context = self._context(self.options, global_header)
        try:
            context.open()
        except _REFUSALS as error:
            raise UserError(f'{self._does_not_encode()}; change these, or take another --codec.') from error
        return context

    def check(self) -> None:
        """Opens a context to hear what the encoder says of its options.

        Raises:
            UserError: It refuses them, or does not know one.
        """
        context = self._context(self.options, False)
        refused, said = _heard(context)
        for line in said:
            if match := _OUT_OF_RANGE.search(line):
                raise UserError(self._wrong(match['name'], f'{float(match["value"]):g}', match['range']))
            if match := _NO_VALUE.search(line):
                raise UserError(self._wrong(match['name'], match['value'], self._range_of(match['name'])))
            if _NO_PARAMETER.search(line):
                raise UserError(f'{self.codec} says: {line.rstrip(".")}; correct --encoder-option.')
        if refused and self.codec == 'dnxhd' and self.options.get('profile', 'dnxhd') == 'dnxhd':
            profile = _DNXHR.get(self.layout.pixel_format, 'dnxhr_444')
            raise UserError(
                f'{self._does_not_encode()}, for DNxHD has a few sizes and bit rates; give --encoder-option '
                f'profile={profile}, or take another --codec.'
            )
        if refused:
            said = [line for line in said if not _OF_THREADS.match(line)]
            reason = f' ({said[-1].rstrip(".")})' if said else ''
            raise UserError(f'{self._does_not_encode()}{reason}; change these, or take another --codec.')
        if context.options:
            raise UserError(_no_such_option(self.codec, next(iter(context.options))))

    def _context(self, options: Mapping[str, str], global_header: bool) -> av.VideoCodecContext:
        context = av.CodecContext.create(self.codec, 'w')
        assert isinstance(context, av.VideoCodecContext)
        self.configure(context, global_header)
        # PyAV asks for slices, which are no faster than a few processors and cost bits
        context.thread_type = 'AUTO'
        if self.codec == 'libsvtav1':
            # it prints two dozen lines for each context, past FFmpeg's log; 1 leaves errors
            os.environ.setdefault('SVT_LOG', '1')
        context.options = dict(options)
        return context

    def _does_not_encode(self) -> str:
        settings = ' '.join(f'{name}={value}' for name, value in self.options.items())
        size = f'{self.width}x{self.height} {self.layout.pixel_format}'
        return f'{self.codec} does not encode {size} with {settings or "its defaults"}'

    def _range_of(self, name: str) -> str | None:
        """What numbers an option may be, in FFmpeg's words; None where it does not say."""
        _, said = _heard(self._context({name: _FAR_OFF}, False))
        return next((match['range'] for line in said if (match := _OUT_OF_RANGE.search(line))), None)

    def _wrong(self, name: str, value: str, numbers: str | None) -> str:
        if numbers is None:
            return f'{_flag(name)} is {value}, which {self.codec} does not take; correct it.'
        least, most = numbers.split(' - ')
        known = f'{least} to {most}'
        if float(most) > _ENDLESS:
            known = 'numbers' if float(least) < -_ENDLESS else f'numbers from {least} up'
        return f'{_flag(name)} is {value}, but {self.codec} takes {known}; give one of these.'

    def frame(self, planes: Sequence[np.ndarray], pts: int) -> av.VideoFrame:
        """A frame to encode, of planes of the layout's shapes and type."""
        frame = av.VideoFrame(self.width, self.height, self.layout.pixel_format)
        for plane, samples in zip(frame.planes, planes, strict=True):
            rows, columns = samples.shape
            line = plane.line_size // samples.itemsize
            held = np.frombuffer(memoryview(plane), samples.dtype)
            lines = held[: rows * line].reshape(rows, line)
            lines[:, :columns] = samples
            # encoders may look at what fills lines up
            lines[:, columns:] = 0
            held[rows * line :] = 0
        frame.pts, frame.time_base = pts, self.time_base
        return frame

    def encode(self, frames: Iterator[av.VideoFrame], global_header: bool) -> Iterator[av.Packet]:
        """Encodes a segment.

        Raises:
            UserError: The encoder fails.
        """
        context = self.opened(global_header)
        try:
            for frame in frames:
                yield from context.encode(frame)
            yield from context.encode(None)
        except av.FFmpegError as error:
            raise UserError(
                f'{self.codec} failed ({error.strerror}); take another --codec or other options.'
            ) from error


def choose_encoder(
    facts: Facts,
    height: int,
    width: int,
    enlarged: bool,
    wishes: Wishes,
    time_base: Fraction,
    rate: Fraction,
    suffix: str = '',
) -> Encoder:
    """Chooses what encodes a film.

    Args:
        facts: The input.
        height: Rows of the output.
        width: Columns of the output.
        enlarged: See `output_layout`.
        wishes: What the user wants.
        time_base: Seconds per unit of time stamps.
        rate: Frames per second, on average.
        suffix: Ending of the output: WebM takes few codecs, and AVI has no time stamps of frames that are not shown in
            the order in which they are coded.

    Raises:
        UserError: The encoder does not exist or does not take what is wanted.
    """
    layout = output_layout(facts.layout, height, width, enlarged, wishes.pixel_format, facts.layout.depth)
    wanted = wishes.codec or (_WEB_CODEC if suffix == '.webm' else _CODEC if layout.depth == 8 else _DEEP_CODEC)
    try:
        known = av.Codec(wanted, 'w')
    except (ValueError, av.FFmpegError) as error:
        raise UserError(f'there is no encoder {wanted}; take libx264, libx265, libsvtav1, ffv1 or another.') from error
    # h264 is the name of what is written, for which FFmpeg takes an encoder
    codec = known.name
    if known.type != 'video':
        raise UserError(f'{codec} encodes {known.type}; take libx264, libx265, libsvtav1, ffv1 or another.')
    name = _format_for(layout, known, wishes.pixel_format, height, width, facts.layout.kind == 'gray')
    instead_of = None if name == layout.pixel_format else layout.pixel_format
    layout = output_layout(facts.layout, height, width, enlarged, name, facts.layout.depth)
    options = _options(codec, facts, layout, wishes)
    if suffix == '.avi':
        options.setdefault('bf', '0')
    primaries, transfer = facts.primaries, facts.transfer
    encoder = Encoder(
        codec, options, layout, height, width, time_base, rate, facts.pixel_aspect, primaries, transfer, instead_of
    )
    encoder.check()
    return encoder


def _format_for(default: Layout, codec: av.Codec, wanted: str | None, height: int, width: int, is_gray: bool) -> str:
    """The pixel format by default, or the nearest one that the encoder takes and this package writes.

    Raises:
        UserError: It takes another one than was asked for, or none for such sides.
    """
    formats = {known.name for known in codec.video_formats or ()}
    if not formats or default.pixel_format in formats:
        return default.pixel_format
    written = [Layout(name, False, 1) for name in sorted(filter(is_written, formats))]
    if wanted is not None and written:
        some = ', '.join(one.pixel_format for one in written[:12])
        raise UserError(f'{codec.name} does not take {wanted}; it takes {some}: give one as --pix-fmt.')
    kinds = ('yuv', 'rgb', 'gray') if is_gray else ('yuv', 'rgb')
    fitting = [one for one in written if one.kind in kinds and one.has(height, width)]
    if not fitting:
        some = ', '.join(sorted(formats)[:12])
        raise UserError(
            f'{codec.name} takes {some}, none of which infer writes for {width}x{height}; take another --codec'
            f'{"" if Layout("yuv420p", False, 1).has(height, width) else ", or an -s that makes even sides"}.'
        )
    return min(fitting, key=lambda one: _distance(default, one)).pixel_format


def _distance(wanted: Layout, other: Layout) -> tuple[float, ...]:
    """How far a layout is from a wanted one: what it loses comes before what it has besides."""
    lost = more = 1.0
    for own, new in zip(wanted.subsampling, other.subsampling, strict=True):
        lost, more = lost * max(1, new / own), more * max(1, own / new)
    deeper = other.depth - wanted.depth
    return max(0, -deeper), lost, other.kind != wanted.kind, more, max(0, deeper)


def _options(codec: str, facts: Facts, layout: Layout, wishes: Wishes) -> dict[str, str]:
    extra = _extra(codec, wishes)
    options = {'chroma_sample_location': str(LOCATIONS.index(layout.location) + 1)}
    crf = wishes.crf
    if crf is None and not any(name in extra for name in _OTHER_QUALITY):
        crf = _CRF.get(codec)
    if crf is not None:
        options['crf'] = f'{crf:g}'
        if codec == 'libvpx-vp9':
            options['b'] = '0'
    preset = wishes.preset or _PRESETS.get(codec)
    if preset is not None:
        options['preset'] = preset
    if codec == 'libx265':
        quiet = ['log-level=none', *(facts.mastering if facts.is_hdr else ())]
        extra['x265-params'] = ':'.join([*quiet, *filter(None, [extra.get('x265-params')])])
    options |= extra
    _check_values(codec, options)
    return options


def _extra(codec: str, wishes: Wishes) -> dict[str, str]:
    """Further options, none of which is said twice or contradicts a flag, which encoders settle in silence."""
    extra: dict[str, str] = {}
    for name, value in map(_split, wishes.options):
        if name in _OF_FRAMES:
            raise UserError(f'--encoder-option {name} is {value}, but follows from the frames; {_OF_FRAMES[name]}.')
        if name in extra:
            raise UserError(f'--encoder-option {name} is both {extra[name]} and {value}; leave out one of them.')
        extra[name] = value
    # VP9 and libaom take crf and a bit rate together
    qualities = [name for name in _OTHER_QUALITY if name != 'b' or not codec.startswith(('libvpx', 'libaom'))]
    crf = None if wishes.crf is None else f'{wishes.crf:g}'
    for flag, given, others in (('crf', crf, qualities), ('preset', wishes.preset, ['preset'])):
        for other in extra.keys() & others if given is not None else ():
            raise UserError(
                f'--{flag} {given} and --encoder-option {other}={extra[other]} set the same; leave out one of them.'
            )
    return extra


def _check_values(codec: str, options: Mapping[str, str]) -> None:
    """Refuses what an encoder would change in silence, or refuse in lines of its own."""
    if codec in _CRF_RANGES and 'crf' in options:
        least, most = _CRF_RANGES[codec]
        try:
            crf = float(options['crf'])
        except ValueError:
            crf = math.nan
        if not least <= crf <= most:
            raise UserError(f'--crf is {options["crf"]}, but {codec} takes {least} to {most}; give one of these.')
    for name, words in _WORDS.get(codec, {}).items():
        given = options.get(name, words[0]).split(',') if name == 'tune' else [options.get(name, words[0])]
        for word in given:
            if word not in words and not (name == 'preset' and re.fullmatch('[0-9]', word)):
                raise UserError(f'{_flag(name)} is {word!r}, but {codec} takes {", ".join(words)}; give one of these.')


def _heard(context: av.VideoCodecContext) -> tuple[bool, list[str]]:
    """Opens a context: whether it was refused, and what FFmpeg said meanwhile."""
    level, refused = av.logging.get_level(), False
    av.logging.set_level(av.logging.WARNING)
    try:
        with Capture() as lines:
            context.open()
    except _REFUSALS:
        refused = True
    finally:
        av.logging.set_level(level)
    return refused, [text.strip() for _, _, text in lines]


def _no_such_option(codec: str, name: str) -> str:
    if name in ('crf', 'preset'):
        return f'{codec} has no {name}; leave out --{name}.'
    return f'{codec} has no option {name}; correct --encoder-option.'


def _flag(name: str) -> str:
    """What sets an option of an encoder."""
    return f'--{name}' if name in ('crf', 'preset') else f'--encoder-option {name}'


def _split(option: str) -> tuple[str, str]:
    name, equals, value = option.partition('=')
    if not (name and equals and value):
        raise UserError(f'--encoder-option is {option!r}; write NAME=VALUE.')
    return name, value
