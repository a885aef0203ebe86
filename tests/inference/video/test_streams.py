"""Everything but the pictures: sound, subtitles, chapters, attachments, tags, how the picture is turned."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video import copying
from gsm_plugin.inference.video.display_matrix import write_matrix
from gsm_plugin.inference.video.joining import decoding_stamps
from gsm_plugin.inference.video.opening import learn, opened
from gsm_plugin.inference.video.reading import Reading
from tests.inference.video.films import frame_of, make_film, read_film, scene
from tests.inference.video.test_jobs import enlarge

QUARTER = (0, -65536, 0, 65536, 0, 0, 0, 0, 1073741824)


def make_rich_film(path, seconds=2):
    """Two tracks of sound, subtitles, chapters, tags; in Matroska a font too."""
    matroska = path.suffix == '.mkv'
    with av.open(str(path), 'w') as target:
        video = target.add_stream('libx264', rate=25, options={'preset': 'ultrafast'})
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        sounds = [target.add_stream('aac', rate=44100) for _ in range(2)]
        for sound, language in zip(sounds, ('eng', 'fra'), strict=True):
            sound.metadata['language'] = language
        if matroska:
            text = target.add_mux_stream('subrip')
            text.time_base = Fraction(1, 1000)
            text.metadata['language'] = 'deu'
            target.add_attachment('font.ttf', 'font/ttf', b'not a font')
        target.metadata['title'] = 'A film'
        unit = Fraction(1, 1000)
        target.set_chapters(
            [
                {'id': 1, 'start': 0, 'end': 800, 'time_base': unit, 'metadata': {'title': 'One'}},
                {'id': 2, 'start': 800, 'end': 2000, 'time_base': unit, 'metadata': {'title': 'Two'}},
            ]
        )
        target.start_encoding()
        if matroska:
            for start in (200, 1200):
                packet = av.Packet(f'<i>at {start}</i>'.encode())
                packet.pts = packet.dts = start
                packet.duration, packet.time_base, packet.stream = 500, unit, text
                target.mux(packet)
        for number, picture in enumerate(scene(25 * seconds)):
            frame = frame_of(picture, 'yuv420p')
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        for sound in sounds:
            for start in range(0, 44100 * seconds, 1024):
                wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None].repeat(2, 0)
                frame = av.AudioFrame.from_ndarray(wave, 'fltp', 'stereo')
                frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
                target.mux(sound.encode(frame))
            target.mux(sound.encode(None))
        target.mux(video.encode(None))
    return path


def sound_of(path, number=0):
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=number))
        return frames[0].time, np.concatenate([frame.to_ndarray() for frame in frames], 1)


def texts_of(path):
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(subtitles=0) if p.size]
        return [(float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p)) for p in packets]


@pytest.mark.parametrize('before, after', [('.mkv', '.mkv'), ('.mp4', '.mp4'), ('.mkv', '.mp4'), ('.mp4', '.mkv')])
def test_sound_chapters_and_tags_are_kept(tmp_path, before, after):
    source, target = make_rich_film(tmp_path / f'in{before}'), tmp_path / f'out{after}'
    leave_out = ('attachment',) if (before, after) == ('.mkv', '.mp4') else ()
    enlarge(source, target, leave_out=leave_out, wishes=_default(), segment_frames=20)
    for number in range(2):
        first, expected = sound_of(source, number)
        start, samples = sound_of(target, number)
        assert start == pytest.approx(first, abs=0.024)
        # What AAC plays before zero has no mark in Matroska.
        assert np.array_equal(samples[:, -expected.shape[1] :], expected)
    with av.open(str(source)) as old, av.open(str(target)) as new:
        assert [stream.language for stream in new.streams.audio] == ['eng', 'fra']
        assert {key.lower(): text for key, text in new.metadata.items()}['title'] == 'A film'
        chapters = [(float(c['start'] * c['time_base']), float(c['end'] * c['time_base'])) for c in new.chapters()]
        assert chapters == [(0, 0.8), (0.8, 2.0)]
        assert [c['metadata']['title'] for c in new.chapters()] == ['One', 'Two']
        assert len(new.streams.video) == 1
        assert len(new.streams.subtitles) == len(old.streams.subtitles)
        assert new.duration == pytest.approx(old.duration, abs=60000)


def _default():
    from gsm_plugin.inference.video.encoding import Wishes

    return Wishes(preset='ultrafast')


@pytest.mark.parametrize('after, texts', [('.mkv', b'<i>at 200</i>'), ('.mp4', b'\x00\x06at 200')])
def test_subtitles_are_copied_or_become_what_the_container_takes(tmp_path, after, texts):
    source, target = make_rich_film(tmp_path / 'in.mkv'), tmp_path / f'out{after}'
    job = enlarge(source, target, leave_out=('attachment',), wishes=_default())
    shown = [text for text in texts_of(target) if len(text[2]) > 2]
    assert [text[:2] for text in shown] == [(0.2, 0.5), (1.2, 0.5)]
    assert shown[0][2].startswith(texts)
    assert any('mov_text' in note for note in job.notes) == (after == '.mp4')


def test_what_transport_streams_do_not_keep_is_refused_or_told(tmp_path):
    source = make_rich_film(tmp_path / 'in.mkv')
    left_out = {'wishes': _default(), 'leave_out': ('attachment',)}
    with pytest.raises(UserError, match=r'\.ts does not keep subtitle of the input \(srt\); .* give --leave-out 3\.'):
        enlarge(source, tmp_path / 'out.ts', **left_out)
    job = enlarge(source, tmp_path / 'out.ts', **{**left_out, 'leave_out': ('attachment', 'subtitle')})
    assert 'chapters stay behind, since .ts holds none' in job.notes


def test_attachments_are_kept_in_matroska_and_refused_in_mp4(tmp_path):
    source = make_rich_film(tmp_path / 'in.mkv')
    enlarge(source, tmp_path / 'out.mkv', wishes=_default())
    with av.open(str(tmp_path / 'out.mkv')) as container:
        assert [stream.type for stream in container.streams].count('attachment') == 1
    with pytest.raises(UserError, match=r'cannot hold stream 4 \(attachment\).*--leave-out 4'):
        enlarge(source, tmp_path / 'out.mp4', wishes=_default())
    assert not list(tmp_path.glob('out.mp4*'))


@pytest.fixture
def with_pcm(tmp_path):
    """A film with PCM, of which Matroska says how many channels there are, while MP4 wants to know which."""
    with av.open(str(tmp_path / 'in.mkv'), 'w') as target:
        video, sound = target.add_stream('ffv1', rate=25), target.add_stream('pcm_s16le', rate=48000, layout='stereo')
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        for number, picture in enumerate(scene(4)):
            frame = frame_of(picture, 'yuv420p')
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        frame = av.AudioFrame.from_ndarray(np.arange(2 * 4800, dtype=np.int16)[None], 's16', 'stereo')
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        target.mux([*sound.encode(frame), *sound.encode(None), *video.encode(None)])
    return tmp_path / 'in.mkv'


def test_two_channels_without_a_place_are_stereo(with_pcm, tmp_path):
    enlarge(with_pcm, tmp_path / 'out.mp4', wishes=_default())
    np.testing.assert_array_equal(sound_of(tmp_path / 'out.mp4')[1], np.arange(2 * 4800)[None])


def test_what_a_container_refuses_at_its_end_is_refused_before_the_work(with_pcm, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, '_UNNAMED_LAYOUTS', {})
    with pytest.raises(UserError, match=r'\.mp4 cannot hold this film \(Invalid argument\); name it \.mkv instead'):
        enlarge(with_pcm, tmp_path / 'out.mp4', wishes=_default())
    assert [path.name for path in tmp_path.iterdir()] == ['in.mkv']


@pytest.fixture
def with_cover(tmp_path):
    """A film with the picture of a cover."""
    with av.open(str(tmp_path / 'in.mp4'), 'w') as target:
        video, cover = target.add_stream('libx264', rate=25), target.add_stream('mjpeg', rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, 'yuv420p'
        cover.width, cover.height, cover.pix_fmt = 32, 24, 'yuvj420p'
        cover.disposition = Disposition.attached_pic
        for stream, pictures in ((cover, scene(1, 24, 32)), (video, scene(4))):
            for number, picture in enumerate(pictures):
                frame = frame_of(picture, 'yuv420p')
                frame.pts, frame.time_base = number, Fraction(1, 25)
                target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
    return tmp_path / 'in.mp4'


def cover_of(path):
    with av.open(str(path)) as container:
        (cover,) = (stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic)
        return next(bytes(packet) for packet in container.demux(cover) if packet.size)


@pytest.mark.parametrize('start', [0.0, 0.06])
def test_the_picture_of_a_cover_stays_one(with_cover, tmp_path, start):
    enlarge(with_cover, tmp_path / 'out.mkv', wishes=_default(), start=start)
    # from the one to the other and back
    enlarge(tmp_path / 'out.mkv', tmp_path / 'out.mp4', wishes=_default())
    for name in ('out.mkv', 'out.mp4'):
        assert cover_of(tmp_path / name) == cover_of(with_cover)
        assert len(read_film(tmp_path / name)) == (4 if not start else 2)
    job = enlarge(with_cover, tmp_path / 'out.ts', wishes=_default())
    assert 'stream 1 (video) stays behind' in job.notes
    with av.open(str(tmp_path / 'out.ts')) as container:
        assert len(container.streams) == 1


def test_a_part_has_its_part_of_sound_and_chapters(tmp_path):
    source, target = make_rich_film(tmp_path / 'in.mkv'), tmp_path / 'out.mp4'
    enlarge(source, target, leave_out=('attachment',), start=0.6, end=1.4, wishes=_default())
    start, samples = sound_of(target)
    assert 0 <= start < 0.03
    assert samples.shape[1] / 44100 == pytest.approx(0.8, abs=0.05)
    with av.open(str(target)) as container:
        spans = [(float(c['start'] * c['time_base']), float(c['end'] * c['time_base'])) for c in container.chapters()]
    assert spans == [(0, pytest.approx(0.2)), (pytest.approx(0.2), pytest.approx(0.8))]
    assert texts_of(target)[-1][0] == pytest.approx(0.6)


def test_how_a_picture_is_turned_is_kept_or_done(tmp_path):
    source = make_rich_film(tmp_path / 'in.mp4', seconds=1)
    write_matrix(source, QUARTER)
    assert learn(source).rotation == 90
    enlarge(source, tmp_path / 'out.mp4', wishes=_default())
    assert learn(tmp_path / 'out.mp4').display_matrix == QUARTER
    job = enlarge(source, tmp_path / 'out.mkv')
    turned, original = read_film(tmp_path / 'out.mkv'), read_film(source)
    assert any('turned upright by 90' in note for note in job.notes)
    assert np.array_equal(turned[0].planes[0], np.rot90(original[0].planes[0]))


@pytest.mark.parametrize('order, delay', [([0, 1, 2, 3], 0), ([0, 3, 1, 2], 1), ([0, 8, 4, 2, 6], 2)])
def test_decoding_stamps_rise_and_come_no_later_than_the_frames(order, delay):
    stamps = [10 + place for place in order]
    decoding = decoding_stamps(stamps)
    assert decoding == sorted(set(decoding))
    assert all(dts <= pts for dts, pts in zip(decoding, stamps, strict=True))
    assert decoding[delay] == 10


def test_pictures_keep_their_time_where_sound_begins_before_zero(tmp_path):
    source = make_rich_film(tmp_path / 'in.mp4')
    with av.open(str(source)) as container:
        assert next(container.demux(audio=0)).pts < 0
    for name in ('out.mkv', 'out.mp4'):
        enlarge(source, tmp_path / name, wishes=_default())
        facts = learn(tmp_path / name)
        stamps = [picture.pts * facts.time_base for picture in read_film(tmp_path / name)]
        assert stamps == [Fraction(i, 25) for i in range(50)]


def test_matroska_that_lost_its_end_or_middle_is_not_taken_for_whole(tmp_path):
    whole = make_film(tmp_path / 'whole.mkv', scene(50), codec='libx264', options={'g': '10'}).read_bytes()
    assert len(read_film(tmp_path / 'whole.mkv')) == 50
    (tmp_path / 'cut.mkv').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r'of 2\.00 s that its header promises, [01]\.\d\d s are there.*--salvage'):
        read_film(tmp_path / 'cut.mkv')
    heard = []
    pictures = list(Reading(learn(tmp_path / 'cut.mkv'), salvage=True).pictures(heard.append))
    assert 0 < len(pictures) < 40
    assert 'of 2.00 s that its header promises' in heard[-1]


@pytest.mark.parametrize('before, after, told', [('avi', 'avi', True), ('avi', 'mkv', False), ('mp4', 'avi', False)])
def test_sound_that_loses_its_time_is_told(tmp_path, before, after, told):
    source = make_rich_film(tmp_path / f'in.{before}', 1)
    with opened(source) as container:
        copies = copying.plan_copies(container, 0, tmp_path / f'out.{after}', ())
        notes = list(copying.describe_missing(container, 0, list(copies), tmp_path / f'out.{after}'))
    words = 'stream 1 (audio) loses its time from .avi to .avi, as FFmpeg copies aac; name the output .mkv or .mp4'
    assert (words in notes) == told
