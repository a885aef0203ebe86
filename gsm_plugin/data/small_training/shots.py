"""Shots cut out of a film without encoding it again."""

from pathlib import Path

import av

from gsm_plugin.files import whole_file
from gsm_plugin.inference.video.containers import open_input, open_output

_FEWEST_FRAMES = 16


def copy_shots(film: Path, shots: list[tuple[int, int]], folder: Path, budget: float = float('inf')) -> int:
    """Copies shots out of a film, each as `<first frame>.mp4`, packet by packet.

    A copied shot begins at its first key frame. To keep to the budget, all shots are cut to one length.

    Args:
        film: H.264 video.
        shots: First frame of each shot and the frame after its last.
        folder: Folder to write to.
        budget: Most bytes that all shots together may have.

    Returns:
        Number of frames.
    """
    with open_input(film) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        numbers = _frame_numbers(packets)
        pieces = [_piece(packets, numbers, start, stop) for start, stop in shots]
        pieces = [piece for piece in pieces if len(piece) >= _FEWEST_FRAMES]
        longest = max(map(len, pieces))
        while sum(packets[i].size for piece in pieces for i in piece) > budget and longest > _FEWEST_FRAMES:
            longest -= 1
            pieces = [_shortened(piece, numbers, longest) for piece in pieces]
        folder.mkdir(parents=True, exist_ok=True)
        for piece in pieces:
            with whole_file(folder / f'{numbers[piece[0]]:05d}.mp4') as part:
                _write(part, stream, [packets[i] for i in piece])
    return sum(map(len, pieces))


def _frame_numbers(packets: list[av.Packet]) -> list[int]:
    """Which frame of the film each packet is, in the order of the packets."""
    order = {time: number for number, time in enumerate(sorted(_times(packet)[0] for packet in packets))}
    return [order[_times(packet)[0]] for packet in packets]


def _times(packet: av.Packet) -> tuple[int, int]:
    """When a packet is shown and when it is decoded, which every packet of H.264 in an MP4 tells."""
    assert packet.pts is not None
    assert packet.dts is not None
    return packet.pts, packet.dts


def _piece(packets: list[av.Packet], numbers: list[int], start: int, stop: int) -> range:
    """The packets of a shot from its first key frame on."""
    keys = [i for i, packet in enumerate(packets) if packet.is_keyframe]
    first = next((i for i in keys if start <= numbers[i] < stop), None)
    if first is None:
        return range(0)
    end = next((i for i in keys if numbers[i] >= stop), len(packets))
    return _shortened(range(first, end), numbers, stop - numbers[first])


def _shortened(piece: range, numbers: list[int], longest: int) -> range:
    """At most so many packets of a piece, none of them without what it refers to."""
    first = numbers[piece[0]] if piece else 0
    for length in range(min(longest, len(piece)), 0, -1):
        # Whole in time: the packets up to here are exactly the first frames of the piece.
        if max(numbers[piece[0] : piece[0] + length]) == first + length - 1:
            return piece[:length]
    return piece[:0]


def _write(path: Path, source: av.VideoStream, packets: list[av.Packet]) -> None:
    earliest = min(_times(packet)[0] for packet in packets)
    with open_output(path, 'mp4') as out:
        stream = out.add_stream_from_template(source)
        for packet in packets:
            shown, decoded = _times(packet)
            packet.pts, packet.dts = shown - earliest, decoded - earliest
            packet.stream = stream
            out.mux(packet)
