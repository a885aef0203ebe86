"""Frames out of a film, one at a time, as planes with their time stamps."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
import numpy as np

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.facts import Facts, Picture
from gsm_plugin.inference.video.opening import opened, planar_format, reason, time_base_of, video_stream

# Seconds before the wanted start at which decoding begins, so that frames that lean on earlier ones are whole.
_RUN_UP = 2.0
_DURATION = re.compile(r'(\d+):(\d\d):(\d\d(?:\.\d+)?)')
# Seconds that may lack at the end of a film that counts no frames, since what is noted there is not exact.
_LACKING = 0.5
# Frames at the beginning without time stamps that are held until one comes.
_LEADING = 16


@dataclass(frozen=True)
class Reading:
    """How a film is read.

    Attributes:
        facts: The film.
        deinterlace: Whether each pair of fields is made a whole frame (FFmpeg's bwdif).
        salvage: Whether what cannot be decoded is left out instead of ending the work.
        start: Seconds from the film's beginning; frames before it are left out.
        end: Frames from there on are left out; None for none.
        carefully: Whether one thread decodes, so that every error is heard and belongs to a certain frame.
    """

    facts: Facts
    deinterlace: bool = False
    salvage: bool = False
    start: float = 0.0
    end: float | None = None
    carefully: bool = False

    def pictures(self, on_fault: Callable[[str], None] | None = None) -> Iterator[Picture]:
        """Decodes.

        Args:
            on_fault: Takes a sentence for each fault that is passed over.

        Raises:
            UserError: A frame cannot be decoded and is not to be left out, or the frames change their size or format.
        """
        facts, last = self.facts, None
        first, stop = self._range()
        on_fault = on_fault or (lambda fault: None)
        without = behind = 0
        for number, frame in enumerate(_led_up(self._frames(on_fault), facts, on_fault)):
            _check_same(frame, facts, number, last)
            if frame.interlaced_frame and not self.deinterlace:
                raise UserError(f'{facts.path} is interlaced from frame {number} on; give --deinterlace.')
            stamp, before = _next_stamp(frame, last, facts), last
            without += frame.pts is None
            behind += frame.pts is not None and before is not None and stamp == before + 1 > _own_stamp(frame, facts)
            last = stamp
            if last >= stop:
                break
            if last >= first:
                duration = round((frame.duration or 0) * time_base_of(frame) / facts.time_base)
                yield Picture(_planes(frame, facts), last, duration)
        if without:
            on_fault(f'{without} frames have no time stamps, so each follows the one before it')
        if behind:
            unit = float(facts.time_base)
            on_fault(
                f'{behind} frames have no later time stamp than the one before, so they are shown {unit:g} s after it'
            )

    def _range(self) -> tuple[float, float]:
        """Time stamps of the first frame and of the one after the last."""
        unit = float(self.facts.time_base)
        first = (self.facts.start + self.start - 1e-6) / unit if self.start else -np.inf
        return first, np.inf if self.end is None else (self.facts.start + self.end - 1e-6) / unit

    def _frames(self, on_fault: Callable[[str], None]) -> Iterator[av.VideoFrame]:
        path = self.facts.path
        with opened(path) as container:
            stream = video_stream(container, path)
            stream.thread_type = 'NONE' if self.carefully else 'AUTO'
            if self.start > _RUN_UP:
                _seek(container, stream, self.facts.start + self.start - _RUN_UP)
            decoded = self._decoded(container, stream, on_fault)
            yield from _deinterlaced(decoded, stream) if self.deinterlace else decoded

    def _decoded(
        self, container: av.container.InputContainer, stream: av.VideoStream, on_fault: Callable[[str], None]
    ) -> Iterator[av.VideoFrame]:
        taken, number, packets = 0, 0, container.demux(stream)
        first = last = None
        stamps: deque[int] | None = deque() if _counts_packets(container, stream) else None
        while True:
            try:
                packet = next(packets)
                if stamps is not None and packet.size and packet.dts is not None:
                    stamps.append(packet.dts)
                frames = packet.decode()
            except StopIteration:
                break
            except av.FFmpegError as error:
                self._hear(f'after {number} frames something cannot be decoded ({reason(error)})', on_fault)
                continue
            taken += packet.size > 0
            for frame in frames:
                if stamps:
                    frame.pts = stamps.popleft()
                number, first, last = number + 1, first or frame, frame
                yield frame
        if self.end is not None:
            return
        if self.start <= _RUN_UP and _is_cut_off(stream, taken, first, last):
            self._hear(f'of {stream.frames} frames that its header promises, {number} are there', on_fault)
        end, told = 0.0 if last is None else _end_of(last), _told_end(stream)
        if not stream.frames and told - end > _LACKING:
            self._hear(f'of {told:.2f} s that its header promises, {end:.2f} s are there', on_fault)

    def _hear(self, fault: str, on_fault: Callable[[str], None]) -> None:
        if not self.salvage:
            raise UserError(
                f'{self.facts.path} is damaged or cut off: {fault}; get it again, or give --salvage to take the '
                f'frames that can be decoded.'
            )
        on_fault(fault)


def _counts_packets(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether packets have the time stamps of the frames that are shown when they are decoded, whichever those are.

    AVI has none but their order, and H.264 and H.265 hand them on with the frames that are in them.
    """
    return container.format.name == 'avi' and stream.codec_context.codec.canonical_name in ('h264', 'hevc')


def _seek(container: av.container.InputContainer, stream: av.VideoStream, seconds: float) -> None:
    try:
        container.seek(int(seconds / time_base_of(stream)), stream=stream)
    except av.FFmpegError:
        # Without an index the film is decoded from its beginning.
        container.seek(0)


def _is_cut_off(stream: av.VideoStream, packets: int, first: av.VideoFrame | None, last: av.VideoFrame | None) -> bool:
    """Whether a film ends before its header says, in packets and in time.

    Lists of edits leave out packets as well, and AVI counts the empty ones that make a frame last longer.
    """
    if packets >= stream.frames or first is None or last is None or last.pts is None or not stream.duration:
        return False
    usual = (last.pts - (first.pts or 0)) / max(1, packets - 1)
    return (stream.start_time or 0) + stream.duration - last.pts > 2 * max(1, last.duration or 0, usual)


def _end_of(frame: av.VideoFrame) -> float:
    """Seconds at which a frame ends."""
    return float(((frame.pts or 0) + (frame.duration or 0)) * time_base_of(frame))


def _told_end(stream: av.VideoStream) -> float:
    """Seconds at which the last frame ends by what Matroska's writers note; 0 where they do not."""
    match = _DURATION.match(stream.metadata.get('DURATION', ''))
    return 0.0 if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _deinterlaced(frames: Iterator[av.VideoFrame], stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """One whole frame for each two fields, with the time stamp of the first."""
    graph = None
    for frame in frames:
        if graph is None:
            graph = av.filter.Graph()
            source = graph.add_buffer(template=stream, time_base=stream.time_base)
            bwdif, sink = graph.add('bwdif', 'mode=send_frame:deint=interlaced'), graph.add('buffersink')
            source.link_to(bwdif)
            bwdif.link_to(sink)
            graph.configure()
        graph.vpush(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph)


def _pulled(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return


def _check_same(frame: av.VideoFrame, facts: Facts, number: int, last: int | None) -> None:
    where = '' if last is None else f'; end before it: --end {float(last * facts.time_base) - facts.start:.3f}'
    if (frame.height, frame.width) != (facts.height, facts.width):
        raise UserError(
            f'{facts.path} changes its size: frame {number} is {frame.width}x{frame.height}, the first one '
            f'{facts.width}x{facts.height}{where}.'
        )
    name = planar_format(frame.format.name, str(facts.path)).replace('yuvj', 'yuv')
    if name != facts.layout.pixel_format:
        raise UserError(
            f'{facts.path} changes its pixel format: frame {number} is {name}, the first one '
            f'{facts.layout.pixel_format}{where}.'
        )


def _next_stamp(frame: av.VideoFrame, last: int | None, facts: Facts) -> int:
    """The time stamp of a frame; one that is missing or not after the last one is set a frame later."""
    if frame.pts is None:
        step = max(1, frame.duration or round(1 / (facts.rate * facts.time_base)))
        return 0 if last is None else last + step
    pts = _own_stamp(frame, facts)
    return pts if last is None or pts > last else last + 1


def _led_up(frames: Iterator[av.VideoFrame], facts: Facts, on_fault: Callable[[str], None]) -> Iterator[av.VideoFrame]:
    """Frames of which the first ones get time stamps that lead up to the first that has one, if it comes soon."""
    held = []
    for frame in frames:
        held.append(frame)
        if frame.pts is not None or len(held) == _LEADING:
            break
    if len(held) > 1 and (stamp := held[-1].pts) is not None:
        for frame in reversed(held[:-1]):
            stamp -= max(1, frame.duration or round(1 / (facts.rate * time_base_of(frame))))
            frame.pts = stamp
        on_fault(f'{len(held) - 1} frames at the beginning have no time stamps, so they lead up to the next one')
    yield from held
    yield from frames


def _own_stamp(frame: av.VideoFrame, facts: Facts) -> int:
    """The time stamp that a frame has, in the film's unit; a filter may count in another one."""
    return round((frame.pts or 0) * time_base_of(frame) / facts.time_base)


def _planes(frame: av.VideoFrame, facts: Facts) -> tuple[np.ndarray, ...]:
    wanted = facts.layout.pixel_format
    if frame.format.name.replace('yuvj', 'yuv') != wanted:
        frame = frame.reformat(format=wanted)
    dtype = np.dtype(facts.layout.dtype)
    planes = []
    shapes = facts.layout.plane_shapes(facts.height, facts.width)
    for plane, (height, width) in zip(frame.planes, shapes, strict=False):
        line = plane.line_size // dtype.itemsize
        samples = np.frombuffer(memoryview(plane), dtype)[: line * height].reshape(height, line)[:, :width]
        planes.append(samples.copy())
    return tuple(planes)
