"""Films whose time stamps are missing, repeated, negative or those of other frames."""

import itertools
from fractions import Fraction

import av
import pytest

from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request
from tests.inference.video.films import Nearest, make_film, read_film, scene

UNIT = Fraction(1, 1000)


def enlarged(source, target):
    """When the frames of the output of a film are shown, and what was noted."""
    progress = Progress()
    request = Request(source, target, wishes=Wishes('libx264', preset='ultrafast', crf=0, pixel_format='yuv444p'))
    (outcome,) = run_requests([request], [Nearest(1)], lambda: progress)
    assert outcome.state == 'done', outcome.text
    notes = [line for line in progress.lines if line.startswith('note: ') and 'Matroska counts' not in line]
    return shown(target), notes


def shown(path):
    with av.open(str(path)) as container:
        frames = [frame for frame in container.decode(video=0) if frame.pts is not None]
        return sorted(float(frame.pts * frame.time_base) for frame in frames)


def restamped(source, target, stamp):
    """A film with other time stamps."""
    with av.open(str(source)) as before, av.open(str(target), 'w') as after:
        stream = before.streams.video[0]
        added = after.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in before.demux(stream) if packet.size):
            packet.pts = packet.dts = stamp(number)
            packet.time_base, packet.stream = UNIT, added
            after.mux(packet)
    return target


def test_frames_without_time_stamps_follow_each_other(tmp_path):
    make_film(tmp_path / 'film.mp4', scene(6), codec='libx264')
    with av.open(str(tmp_path / 'film.mp4')) as source, open(tmp_path / 'raw.h264', 'wb') as raw:
        annexb = av.bitstream.BitStreamFilterContext('h264_mp4toannexb', source.streams.video[0])
        for packet in source.demux(video=0):
            raw.writelines(bytes(one) for one in annexb.filter(packet))
    times, notes = enlarged(tmp_path / 'raw.h264', tmp_path / 'out.mp4')
    assert times == pytest.approx([0.04 * i for i in range(6)])
    assert notes[0] == 'note: 6 frames have no time stamps, so each follows the one before it'


def test_frames_with_the_time_stamp_of_the_one_before_come_a_unit_later(tmp_path):
    make_film(tmp_path / 'film.mkv', scene(6))
    source = restamped(tmp_path / 'film.mkv', tmp_path / 'twice.mkv', lambda number: number // 2 * 80)
    times, notes = enlarged(source, tmp_path / 'out.mp4')
    assert times == pytest.approx([0, 0.001, 0.08, 0.081, 0.16, 0.161])
    assert notes == ['note: 3 frames have no later time stamp than the one before, so they are shown 0.001 s after it']


def test_frames_before_zero_are_shown_in_mp4_too(tmp_path):
    make_film(tmp_path / 'film.mkv', scene(6))
    source = tmp_path / 'early.mkv'
    with av.open(str(tmp_path / 'film.mkv')) as before:
        stream = before.streams.video[0]
        with av.open(str(source), 'w', options={'avoid_negative_ts': 'disabled'}) as after:
            added = after.add_stream_from_template(stream)
            for number, packet in enumerate(packet for packet in before.demux(stream) if packet.size):
                packet.pts = packet.dts = 40 * number - 80
                packet.time_base, packet.stream = UNIT, added
                after.mux(packet)
    times, notes = enlarged(source, tmp_path / 'out.mp4')
    assert times == pytest.approx([0.04 * i for i in range(6)])
    assert notes == [
        'note: 2 frames at the beginning have no time stamps, so they lead up to the next one',
        'note: .mp4 shows nothing before zero, so all begins 0.08 s later',
    ]
    times, notes = enlarged(source, tmp_path / 'out.mkv')
    assert [picture.pts for picture in read_film(tmp_path / 'out.mkv')] == [40 * i - 80 for i in range(6)]
    assert len(notes) == 1


def test_frames_of_avi_are_shown_in_the_order_in_which_they_are_decoded(tmp_path):
    """AVI has time stamps of packets alone, which decoders hand on with other frames where there are B-frames."""
    options = {'bf': '2', 'b_strategy': '0'}
    source = make_film(
        tmp_path / 'film.avi', scene(12), codec='libx264', stamps=range(12), time_base=Fraction(1, 25), options=options
    )
    with av.open(str(source)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps != sorted(stamps)
    times, notes = enlarged(source, tmp_path / 'out.mp4')
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert steps == pytest.approx([0.04] * 11)
    assert notes == []


def test_avi_whose_frames_last_several_ticks_is_not_taken_for_cut_off(tmp_path):
    source = make_film(tmp_path / 'film.avi', scene(6), codec='mjpeg', pixel_format='yuvj420p')
    with av.open(str(source)) as container:
        assert container.streams.video[0].frames > 6
    assert len(enlarged(source, tmp_path / 'out.mp4')[0]) == 6


def test_a_film_that_begins_between_two_milliseconds_begins_so_in_mp4(tmp_path):
    stamps = [12_345 + 3003 * i for i in range(4)]
    source = make_film(tmp_path / 'late.ts', scene(4), codec='libx264', stamps=stamps, time_base=Fraction(1, 90_000))
    times, _ = enlarged(source, tmp_path / 'out.mp4')
    assert times == pytest.approx(shown(source), abs=1e-6)
    assert round(times[0] * 90_000) % 90


def test_avi_counts_frames_at_their_rate(tmp_path):
    # what Matroska rounded to milliseconds too
    source = make_film(
        tmp_path / 'film.mkv', scene(12), stamps=[round(1001 * i / 30) for i in range(12)], time_base=UNIT,
        rate=Fraction(30_000, 1001),
    )  # fmt: skip
    enlarged(source, tmp_path / 'out.avi')
    with av.open(str(tmp_path / 'out.avi')) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (12, Fraction(30_000, 1001))
        assert [packet.dts for packet in container.demux(stream) if packet.size] == list(range(12))


def test_a_variable_rate_is_refused_for_avi(tmp_path):
    source = make_film(tmp_path / 'film.mkv', scene(4), stamps=[0, 512, 800, 1536])
    (outcome,) = run_requests([Request(source, tmp_path / 'out.avi')], [Nearest(1)], Progress)
    assert 'has a variable frame rate, which .avi does not hold; name the output .mkv, or give --fps' in outcome.text
    assert [path.name for path in tmp_path.iterdir()] == ['film.mkv']
