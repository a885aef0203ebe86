"""Copied sound is counted in samples where its old container counts coarser."""

from fractions import Fraction

import av
import numpy as np
import pytest

from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.sound_clock import SoundClock
from tests.inference.video.films import frame_of, scene
from tests.inference.video.test_jobs import enlarge


def make_sounding_film(path):
    """Two seconds with AAC of 44.1 kHz."""
    with av.open(str(path), 'w') as target:
        video, sound = target.add_stream('ffv1', rate=25), target.add_stream('aac', rate=44100)
        video.width, video.height, video.pix_fmt, sound.layout = 64, 48, 'yuv420p', 'stereo'
        for number, picture in enumerate(scene(50)):
            frame = frame_of(picture, 'yuv420p')
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        wave = np.sin(np.arange(88200) * 0.05).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), 'fltp', 'stereo')
        frame.rate = 44100
        target.mux(sound.encode(frame))
        target.mux(sound.encode(None))
    return path


def packets_of_sound(path):
    with av.open(str(path)) as container:
        return [(packet.pts, packet.duration) for packet in container.demux(audio=0) if packet.size]


def test_packets_out_of_matroska_last_all_their_samples_in_mp4(tmp_path):
    source, target = make_sounding_film(tmp_path / 'in.mkv'), tmp_path / 'out.mp4'
    enlarge(source, target, wishes=Wishes(preset='ultrafast'))
    packets = packets_of_sound(target)
    assert len(packets) == len(packets_of_sound(source))
    assert {duration for _, duration in packets[:-1]} == {1024}
    # FFmpeg 9 tells of what only fills up the last one, to half a millisecond
    assert packets[-1][1] == 1024 or packets[-1][1] == pytest.approx(88200 % 1024, abs=23)


def test_what_counts_as_coarse_stays_as_it_is(tmp_path):
    source, target = make_sounding_film(tmp_path / 'in.mkv'), tmp_path / 'out.mkv'
    enlarge(source, target)
    assert packets_of_sound(target) == packets_of_sound(source)


def restamped(stamps, durations, rate=44100, samples=1024):
    clock, out = SoundClock(rate, samples), []
    for stamp, duration in zip(stamps, durations, strict=True):
        packet = av.Packet(b'sound')
        packet.pts, packet.dts, packet.duration, packet.time_base = stamp, stamp, duration, Fraction(1, 1000)
        clock.restamp(packet)
        assert packet.dts == packet.pts
        assert packet.time_base == Fraction(1, rate)
        out.append((packet.pts, packet.duration))
    return out


def test_packets_follow_each_other_within_half_a_unit_of_their_own_stamps():
    begins = [Fraction(1024 * number, 44100) for number in range(2000)]
    stamps = [round(begin * 1000) for begin in begins]
    expected = [(1024 * number, 1024) for number in range(2000)]
    assert restamped(stamps, [23] * 2000) == expected
    # nothing said of how long they last, as some files have it
    assert restamped(stamps, [0] * 2000) == expected


def test_a_gap_stays_a_gap():
    assert restamped([0, 23, 1000, 1023], [23] * 4) == [(0, 1024), (1024, 1024), (44100, 1024), (45124, 1024)]


@pytest.mark.parametrize('told, expected', [(2, 88), (46, 2029)])
def test_packets_that_are_told_to_last_otherwise_do_so(told, expected):
    assert restamped([0, 23], [23, told])[1] == (1024, expected)
