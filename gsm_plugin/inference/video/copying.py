"""All streams of a film but its video: which of them the new container takes as they are, and which as other text."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av.stream import Disposition

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.containers import open_input, open_output

# Text of subtitles, by the codecs that containers take.
_PLAIN = ('subrip', 'srt', 'text', 'webvtt')
_MOV: Final = 'mov_text'
_WITHOUT_CHAPTERS = ('avi', 'flv', 'mpegts', 'mpeg')
_MATROSKA, _QUICKTIME = ('matroska', 'webm'), ('mp4', 'mov', 'ipod', '3gp')
# What Matroska says of PCM is a number of channels; MP4 wants to know where they are.
_UNNAMED_LAYOUTS = {'1 channels': 'mono', '2 channels': 'stereo'}
_MARKUP = re.compile(r'<[^>]*>|\{\\[^}]*\}')
# Time codes and the like belong to the old file; chapters, which MP4 has as such a stream too, are copied as chapters.
KINDS = ('audio', 'subtitle', 'attachment', 'video', 'data')
"""What streams are called that can be left out; of video, those beside the film itself."""

_COVER = 'cover'
_COPIED = ('audio', 'subtitle', 'attachment', 'video')
# A style for mov_text, which stands before it in the file: Serif, white on nothing, at the bottom.
_MOV_STYLE = (
    b'[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour\n'
    b'Style: Default,Serif,18,&Hffffff\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n\n'
)
_AAC = 'aac'


@dataclass(frozen=True)
class Copy:
    """A stream that goes into the output.

    Attributes:
        index: Its number in the input.
        kind: audio, subtitle, attachment, data, video, or cover, which is a picture.
        codec: Its codec.
        becomes: The codec into which its text is turned; empty for none.
    """

    index: int
    kind: str
    codec: str
    becomes: str = ''


def container_format(path: Path) -> av.ContainerFormat:
    """The container that the ending of a file names.

    Raises:
        UserError: None does, or it takes no video.
    """
    try:
        with open_output(io.BytesIO(), _guess(path)) as container:
            found = container.format
    except (ValueError, av.FFmpegError) as error:
        raise UserError(f'{path} ends in {path.suffix or "nothing"}, which no film does; try .mp4 or .mkv.') from error
    return found


def _guess(path: Path) -> str:
    suffix = path.suffix.lower().lstrip('.')
    return {'mkv': 'matroska', 'm4v': 'mp4', 'ts': 'mpegts', 'mts': 'mpegts', 'qt': 'mov', 'mpg': 'mpeg'}.get(
        suffix, suffix
    )


def plan_copies(source: av.container.InputContainer, video: int, path: Path, leave_out: tuple[str, ...]) -> list[Copy]:
    """What goes into the output besides the video.

    Args:
        source: The input.
        video: Number of its video stream.
        path: The output.
        leave_out: Kinds of streams that are not wanted, or their numbers.

    Raises:
        UserError: The container cannot hold a stream, or one that is to be left out is not there.
    """
    name = container_format(path).name
    others = [stream.index for stream in source.streams if stream.index != video]
    there = f'give another number ({", ".join(map(str, others))})' if others else 'take it out of --leave-out'
    for word in leave_out:
        if word == str(video):
            raise UserError(f'--leave-out {word}: stream {word} is the film itself, which is enlarged; {there}.')
        if word not in KINDS and word not in map(str, others):
            raise UserError(f'--leave-out {word}: there is no such stream; {there}.')
        if word == 'video' and not any(source.streams[index].type == word for index in others):
            raise UserError(f'--leave-out {word}: there is none beside the film itself; take it out of --leave-out.')
    copies = []
    for stream in source.streams:
        if stream.index == video or stream.type in leave_out or str(stream.index) in leave_out:
            continue
        if stream.type not in _COPIED:
            continue
        if is_cover(stream):
            # others would make a second film of it
            if name in (*_QUICKTIME, 'matroska') and stream.codec_context is not None:
                copies.append(Copy(stream.index, _COVER, stream.codec_context.name))
            continue
        copies.append(_plan(stream, name, path))
    return copies


def is_cover(stream: av.stream.Stream) -> bool:
    """Whether a stream is the picture of a cover."""
    return bool(stream.disposition & Disposition.attached_pic)


def attach_cover(container: av.container.OutputContainer, path: Path, copy: Copy) -> av.stream.Stream:
    """Adds a cover of a film as a file, as Matroska has it."""
    with open_input(path) as source:
        content = next(bytes(packet) for packet in source.demux(source.streams[copy.index]) if packet.size)
    ending, kind = {'mjpeg': ('jpg', 'image/jpeg')}.get(copy.codec, (copy.codec, f'image/{copy.codec}'))
    return container.add_attachment(f'cover.{ending}', kind, content)


def _plan(stream: av.stream.Stream, name: str, path: Path) -> Copy:
    codec = stream.codec_context.name if stream.codec_context else ''
    canonical = stream.codec_context.codec.canonical_name if stream.codec_context else ''
    if stream.type == 'subtitle' and name in _QUICKTIME and codec in (*_PLAIN, 'ass', 'ssa'):
        return Copy(stream.index, stream.type, codec, _MOV)
    if stream.type == 'subtitle' and name == 'matroska' and codec == _MOV:
        return Copy(stream.index, stream.type, codec, 'subrip')
    try:
        with open_output(io.BytesIO(), name) as container:
            if stream.type == 'attachment' and name not in _MATROSKA:
                raise ValueError(f'{name} has no attachments')
            add_copied(container, stream, Copy(stream.index, stream.type, codec))
    except (ValueError, av.FFmpegError) as error:
        what = f'stream {stream.index} ({stream.type}{" " + canonical if canonical else ""})'
        other = '' if name == 'matroska' else 'name the output .mkv, or '
        raise UserError(
            f'{path.suffix} cannot hold {what} of the input; {other}give --leave-out {stream.index}.'
        ) from error
    return Copy(stream.index, stream.type, codec)


def describe_missing(
    source: av.container.InputContainer, video: int, copies: Sequence[Copy], path: Path
) -> Iterator[str]:
    """A sentence for every stream that does not go into the output as it is."""
    if source.chapters() and container_format(path).name in _WITHOUT_CHAPTERS:
        yield f'chapters stay behind, since {path.suffix} holds none'
    going = {copy.index: copy for copy in copies}
    for stream in source.streams:
        what = f'stream {stream.index} ({stream.type})'
        if stream.index == video:
            continue
        if stream.index not in going and (stream.type != 'data' or not source.chapters()):
            yield f'{what} stays behind'
        elif stream.index in going and going[stream.index].becomes:
            copy = going[stream.index]
            yield f'{what} becomes {copy.becomes}, since {path.suffix} holds no {copy.codec}'
        elif stream.index in going and _loses_time(source, path, going[stream.index]):
            yield f'{what} loses its time from .avi to .avi, as FFmpeg copies {_AAC}; name the output .mkv or .mp4'


def _loses_time(source: av.container.InputContainer, path: Path, copy: Copy) -> bool:
    return copy.codec == _AAC and source.format.name == container_format(path).name == 'avi'


def add_copied(container: av.container.OutputContainer, stream: av.stream.Stream, copy: Copy) -> av.stream.Stream:
    """Adds a stream to the output."""
    added: av.stream.Stream
    if copy.becomes == _MOV:
        subtitles = container.add_stream(_MOV)
        subtitles.codec_context.subtitle_header = _MOV_STYLE
        added = subtitles
    elif copy.becomes:
        added = container.add_mux_stream(copy.becomes)
    else:
        added = container.add_stream_from_template(stream, opaque=True)
        if isinstance(stream, av.AudioStream) and isinstance(added, av.AudioStream):
            layout = stream.codec_context.layout.name
            added.codec_context.layout = _UNNAMED_LAYOUTS.get(layout, layout)
    added.metadata.update(_kept(stream.metadata))
    added.disposition = Disposition(int(stream.disposition))
    if copy.becomes:
        added.time_base = stream.time_base
    return added


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Without what the old container measured."""
    measured = ('duration', 'number_of_', '_statistics', 'bps')
    return {key: value for key, value in metadata.items() if not key.lower().startswith(measured)}


def packets_of(
    source: av.container.InputContainer, copies: list[Copy], start: float, end: float | None
) -> Iterator[tuple[Copy, av.Packet]]:
    """Packets of the copied streams that begin within a part of the film, in the file's order."""
    streams = [source.streams[copy.index] for copy in copies if copy.kind != 'attachment']
    if not streams:
        return
    by_index = {copy.index: copy for copy in copies}
    for packet in source.demux(streams):
        if packet.size and by_index[packet.stream_index].kind == _COVER:
            # it belongs to no time
            packet.pts = packet.dts = 0
            yield by_index[packet.stream_index], packet
            continue
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or stamp is None:
            continue
        second = float(stamp * packet.time_base)
        if (not start or second >= start) and (end is None or second < end):
            yield by_index[packet.stream_index], packet


def as_text(packet: av.Packet, copy: Copy) -> av.Packet:
    """A packet of subtitles in the text that the container takes; other packets as they are."""
    if not copy.becomes:
        return packet
    content = bytes(packet)
    if copy.codec == _MOV:
        text = content[2 : 2 + int.from_bytes(content[:2], 'big')]
    elif copy.codec in ('ass', 'ssa'):
        words = content.decode(errors='replace').split(',', 8)[-1]
        text = _MARKUP.sub('', words).replace('\\N', '\n').replace('\\n', '\n').encode()
    else:
        text = _MARKUP.sub('', content.decode(errors='replace')).encode()
    if copy.becomes == _MOV:
        text = len(text).to_bytes(2, 'big') + text
    other = av.Packet(text)
    other.pts, other.dts, other.duration = packet.pts, packet.dts, packet.duration
    other.time_base, other.is_keyframe = packet.time_base, True
    return other
