"""Joins encoded segments and the input's other streams into the film, which bears its name only when it is whole."""

from __future__ import annotations

import errno
import heapq
import io
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from gsm_plugin.errors import UserError
from gsm_plugin.files import whole_file
from gsm_plugin.inference.video.containers import open_input, open_output
from gsm_plugin.inference.video.copying import Copy, add_copied, as_text, attach_cover, container_format, packets_of
from gsm_plugin.inference.video.display_matrix import write_matrix
from gsm_plugin.inference.video.encoding import Encoder
from gsm_plugin.inference.video.opening import opened, reason, video_stream
from gsm_plugin.inference.video.packet_file import read_packets
from gsm_plugin.inference.video.sound_clock import sound_clock

if TYPE_CHECKING:
    # in PyAV's annotations alone
    from av.container.core import Chapter

_GLOBAL_HEADER_FORMATS = ('mp4', 'mov', 'ipod', '3gp', '3g2', 'matroska', 'webm', 'flv', 'nut', 'psp', 'f4v', 'ismv')
# All streams that are not rare have begun by then.
_PACKETS_OF_A_REHEARSAL = 500
# MP4 begins streams late in units of its own, by default thousandths of a second.
_LEAST_TIMESCALE, _MOST_TIMESCALE = 90_000, 2**31 - 1
# Errors that another container does not cure.
_OF_THE_DISK = (
    errno.ENOSPC,
    errno.EFBIG,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
)
_QUICKTIME = ('mp4', 'mov', 'ipod', '3gp', '3g2', 'f4v', 'psp')


@dataclass(frozen=True)
class Film:
    """The film to write.

    Attributes:
        path: Where.
        encoder: Of its video.
        source: The film from which the other streams come; None for none.
        copies: What is copied from it.
        start: Seconds from its beginning from which on it is wanted.
        end: Until when; None for the end.
        shift: Seconds by which everything is moved to earlier times.
        matrix: Nine numbers that turn the picture for display; empty for none.
    """

    path: Path
    encoder: Encoder
    source: Path | None
    copies: tuple[Copy, ...] = ()
    start: float = 0.0
    end: float | None = None
    shift: Fraction = Fraction(0)
    matrix: tuple[int, ...] = ()

    @property
    def global_header(self) -> bool:
        """Whether the container wants the video's headers at its beginning."""
        return container_format(self.path).name in _GLOBAL_HEADER_FORMATS


def keeps_matrix(path: Path) -> bool:
    """Whether the container of a film of this name can turn the picture for display."""
    return container_format(path).name in _QUICKTIME


def join(film: Film, segments: Sequence[Path], durations: dict[int, int], say: Callable[[str], None]) -> None:
    """Writes the film.

    Args:
        film: What to write.
        segments: Files of encoded packets, in order.
        durations: Duration of each frame by its time stamp.
        say: Takes what is going on.

    Raises:
        UserError: The container refuses something.
    """
    say('joining the segments')
    with whole_file(film.path) as part:
        try:
            _write(film, part, segments, durations)
        except UserError:
            raise
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                raise OSError(error.errno, os.strerror(error.errno), str(film.path)) from error
            raise UserError(f'{film.path} cannot hold the film ({error}); name it .mkv instead.') from error
        if film.matrix:
            write_matrix(part, film.matrix)


def rehearse(film: Film) -> None:
    """Writes header, first packets of what is copied, and trailer to nowhere, so that a container that refuses one of
    them does so before the work.

    Raises:
        UserError: It does.
    """
    written = io.BytesIO()
    try:
        with open_output(written, container_format(film.path).name) as target:
            if film.source is None:
                _add_video(target, film)
                target.start_encoding()
                return
            with opened(film.source) as source:
                _, added = _prepare(target, film, source, film.source)
                target.start_encoding()
                begun: dict[int, str] = {}
                for packet in itertools.islice(_other_packets(film, source, added), _PACKETS_OF_A_REHEARSAL):
                    if packet.stream.index not in begun:
                        begun[packet.stream.index] = packet.stream.type
                        target.mux(packet)
                    if len(begun) == len(added):
                        break
        if begun and container_format(film.path).name == 'mpegts':
            _refuse_lost(film, Counter(begun.values()), written)
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        suffix = film.path.suffix
        cure = 'take another --codec' if suffix.lower() == '.mkv' else 'name it .mkv instead'
        raise UserError(f'{suffix} cannot hold this film ({reason(error)}); {cure}.') from error


def _refuse_lost(film: Film, begun: Counter[str], written: io.BytesIO) -> None:
    """Refuses streams that MPEG-TS takes and does not know again, such as text; other containers do not take those."""
    written.seek(0)
    with open_input(written, 'mpegts') as container:
        found = Counter(stream.type for stream in container.streams)
    lost = next((kind for kind in ('audio', 'subtitle') if found[kind] < begun[kind]), None)
    if lost is not None:
        those = [copy for copy in film.copies if copy.kind == lost]
        codecs = ', '.join(sorted({copy.codec for copy in those}))
        numbers = ' '.join(str(copy.index) for copy in those)
        raise UserError(
            f'{film.path.suffix} does not keep {lost} of the input ({codecs}); name the output .mkv, or give '
            f'--leave-out {numbers}.'
        )


def _write(film: Film, part: Path, segments: Sequence[Path], durations: dict[int, int]) -> None:
    name = container_format(film.path).name
    with open_output(part, name, _options(name, film.encoder.time_base)) as target:
        if film.source is None:
            video = _add_video(target, film)
            target.start_encoding()
            for packet in _video_packets(film, video, segments, durations):
                target.mux(packet)
            return
        with opened(film.source) as source:
            video, added = _prepare(target, film, source, film.source)
            target.start_encoding()
            others = _other_packets(film, source, added)
            ours = _video_packets(film, video, segments, durations)
            # In the order of time, so that the container interleaves without holding much.
            for packet in heapq.merge(ours, others, key=_second):
                target.mux(packet)


def _options(name: str, time_base: Fraction) -> dict[str, str]:
    if name in _QUICKTIME:
        # a multiple, so that what begins late begins when it is to
        unit = time_base.denominator
        scale = min(unit * max(1, -(-_LEAST_TIMESCALE // unit)), _MOST_TIMESCALE)
        return {'movflags': '+faststart', 'movie_timescale': str(scale)}
    if name not in ('matroska', 'webm'):
        return {}
    # The pictures are not to be moved because a sound begins before zero, as AAC does by its first packet; and without
    # `bitexact` two runs write other random numbers into equal films.
    return {'avoid_negative_ts': 'disabled', 'fflags': '+bitexact'}


def _second(packet: av.Packet) -> float:
    stamp = packet.dts if packet.dts is not None else packet.pts
    assert stamp is not None
    return float(stamp * packet.time_base)


def _prepare(
    target: av.container.OutputContainer, film: Film, source: av.container.InputContainer, path: Path
) -> tuple[av.VideoStream, dict[int, av.stream.Stream]]:
    video = _add_video(target, film)
    old = video_stream(source, path)
    video.metadata.update(
        {key: old.metadata[key] for key in ('language', 'title', 'handler_name') if key in old.metadata}
    )
    video.disposition = old.disposition
    added = {}
    for copy in film.copies:
        if copy.kind == 'cover' and target.format.name == 'matroska':
            attach_cover(target, path, copy)
        else:
            added[copy.index] = add_copied(target, source.streams[copy.index], copy)
    skipped = ('major_brand', 'minor_version', 'compatible_brands', 'encoder')
    target.metadata.update({key: text for key, text in source.metadata.items() if key.lower() not in skipped})
    target.set_chapters(list(_chapters(source, film)))
    return video, added


def _chapters(source: av.container.InputContainer, film: Film) -> Iterator[Chapter]:
    for chapter in source.chapters():
        unit = chapter['time_base']
        assert unit is not None
        shift, first = round(film.shift / unit), round(Fraction(film.start) / unit)
        last = chapter['end'] if film.end is None else min(chapter['end'], round(Fraction(film.end) / unit))
        start = max(chapter['start'], first)
        if start < last:
            yield {**chapter, 'start': max(0, start - shift), 'end': last - shift}


def _add_video(target: av.container.OutputContainer, film: Film) -> av.VideoStream:
    stream = target.add_stream(film.encoder.codec, rate=film.encoder.rate)
    assert isinstance(stream, av.VideoStream)
    film.encoder.configure(stream.codec_context, film.global_header)
    stream.time_base = film.encoder.time_base
    return stream


def _other_packets(
    film: Film, source: av.container.InputContainer, added: dict[int, av.stream.Stream]
) -> Iterator[av.Packet]:
    wanted = [copy for copy in film.copies if copy.index in added]
    clocks = {index: sound_clock(source.streams[index], stream) for index, stream in added.items()}
    for copy, original in packets_of(source, wanted, film.start, film.end):
        packet = as_text(original, copy)
        if (clock := clocks[copy.index]) is not None:
            clock.restamp(packet)
        moved = 0 if copy.kind == 'cover' else round(film.shift / packet.time_base)
        if packet.pts is not None:
            packet.pts -= moved
        if packet.dts is not None:
            packet.dts -= moved
        packet.stream = added[copy.index]
        yield packet


def _video_packets(
    film: Film, stream: av.VideoStream, segments: Sequence[Path], durations: dict[int, int]
) -> Iterator[av.Packet]:
    stamps = [packet.pts for path in segments for packet in read_packets(path, with_content=False)]
    decoding = decoding_stamps(stamps)
    shift = round(film.shift / film.encoder.time_base)
    stored = (packet for path in segments for packet in read_packets(path))
    for kept, dts in zip(stored, decoding, strict=True):
        packet = av.Packet(kept.content)
        packet.pts, packet.dts, packet.time_base = kept.pts - shift, dts - shift, film.encoder.time_base
        packet.duration, packet.is_keyframe = durations[kept.pts], kept.is_keyframe
        packet.stream = stream
        yield packet


def decoding_stamps(stamps: Sequence[int]) -> list[int]:
    """Decoding time stamps for packets in coding order: rising, none after the packet's own time.

    Args:
        stamps: Time stamps of the packets, each once.
    """
    ordered = sorted(stamps)
    rank = {stamp: place for place, stamp in enumerate(ordered)}
    delay = max((place - rank[stamp] for place, stamp in enumerate(stamps)), default=0)
    step = max(1, ordered[1] - ordered[0]) if len(ordered) > 1 else 1
    early = [ordered[0] - step * (delay - place) for place in range(min(delay, len(ordered)))]
    return [*early, *ordered[: len(ordered) - delay]]
