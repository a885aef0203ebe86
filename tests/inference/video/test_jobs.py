import threading
from fractions import Fraction

import cv2
import numpy as np
import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.cuts import Cuts
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.job import run_job
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.request import Request
from tests.inference.video.films import (
    MeanOverTime,
    Nearest,
    Quiet,
    largest_difference,
    make_film,
    planned,
    read_film,
    scene,
)

LOSSLESS = Wishes('ffv1')


def enlarge(source, target, network=None, **wanted):
    network = network or Nearest()
    watcher = Quiet()
    job = planned(Request(source, target, **{'wishes': LOSSLESS, **wanted}), network, watcher)
    run_job(job, [network], watcher)
    return job


def stamps_of(path):
    facts = learn(path)
    return [picture.pts * facts.time_base for picture in read_film(path)]


@pytest.mark.parametrize(
    'pixel_format, how',
    [
        ('yuv420p', {}),
        ('yuv420p', {'full': True, 'matrix': 5}),
        ('yuv422p10le', {'matrix': 9, 'primaries': 9, 'transfer': 16}),
        ('yuv444p', {}),
        ('yuv420p10le', {'primaries': 9, 'transfer': 18, 'matrix': 9}),
        ('gray', {}),
    ],
)
def test_a_network_that_changes_nothing_changes_no_sample(tmp_path, pixel_format, how):
    deep = 10 if '10' in pixel_format else 8
    source = make_film(tmp_path / 'in.mkv', scene(5, depth=deep), pixel_format, **how)
    enlarge(source, tmp_path / 'out.mkv')
    before, after = learn(source), learn(tmp_path / 'out.mkv')
    pictures = read_film(tmp_path / 'out.mkv')
    originals = read_film(source)
    if pixel_format == 'gray':
        assert all(set(np.unique(plane)) == {128} for picture in pictures for plane in picture.planes[1:])
        pictures = [type(picture)(picture.planes[:1], picture.pts) for picture in pictures]
    else:
        assert after.layout == before.layout
    assert largest_difference(originals, pictures) == 0
    assert (after.primaries, after.transfer) == (before.primaries, before.transfer)


def test_odd_sides_and_pixels_that_are_not_square(tmp_path):
    codes = scene(3, 35, 51)
    source = make_film(tmp_path / 'in.mp4', codes, 'yuv444p', 'libx264', aspect=Fraction(4, 3), options={'qp': '0'})
    enlarge(source, tmp_path / 'out.mp4', wishes=Wishes('libx264', options=('qp=0',)))
    assert largest_difference(read_film(source), read_film(tmp_path / 'out.mp4')) == 0
    enlarge(source, tmp_path / 'twice.mp4', Nearest(2), wishes=Wishes())
    large = learn(tmp_path / 'twice.mp4')
    assert (large.height, large.width, large.layout.pixel_format) == (70, 102, 'yuv420p')
    assert large.pixel_aspect == Fraction(4, 3)


@pytest.mark.parametrize('codec', ['libx264', 'libx265'])
@pytest.mark.parametrize(
    'stamps, unit',
    [
        ([0, 512, 1024, 2048, 2560, 9216, 9300, 9728], Fraction(1, 12800)),
        ([1001 * i for i in range(8)], Fraction(1, 24000)),
        ([700 + 3003 * i for i in range(8)], Fraction(1, 90000)),
    ],
)
def test_time_stamps_stay_exact(tmp_path, codec, stamps, unit):
    source = make_film(tmp_path / 'in.mp4', scene(8), codec='libx264', stamps=stamps, time_base=unit)
    expected = stamps_of(source)
    enlarge(source, tmp_path / 'out.mp4', Nearest(2), wishes=Wishes(codec), segment_frames=3, window=3, context=1)
    assert stamps_of(tmp_path / 'out.mp4') == expected


def test_a_part_of_a_film_begins_at_zero(tmp_path):
    source = make_film(tmp_path / 'in.mp4', scene(20), codec='libx264', options={'qp': '0'})
    enlarge(source, tmp_path / 'out.mp4', start=0.2, end=0.6, wishes=Wishes('libx264', options=('qp=0',)))
    assert stamps_of(tmp_path / 'out.mp4') == [Fraction(i, 25) for i in range(10)]
    assert largest_difference(read_film(source)[5:15], read_film(tmp_path / 'out.mp4')) == 0


def test_two_scenes_joined_give_what_each_gives_alone(tmp_path):
    first, second = scene(9, seed=1), scene(14, seed=2, level=150)
    films = {'first': first, 'second': second, 'both': np.concatenate([first, second])}
    outputs = {}
    for name, codes in films.items():
        make_film(tmp_path / f'{name}.mkv', codes)
        job = enlarge(tmp_path / f'{name}.mkv', tmp_path / f'{name}_out.mkv', MeanOverTime(2), window=8, context=2)
        outputs[name] = read_film(tmp_path / f'{name}_out.mkv')
    assert job.survey.scenes == ((0, 9), (9, 23))
    assert largest_difference(outputs['first'] + outputs['second'], outputs['both']) == 0
    enlarge(tmp_path / 'both.mkv', tmp_path / 'leak.mkv', MeanOverTime(2), window=8, context=2, cuts=Cuts(never=True))
    assert largest_difference(outputs['both'], read_film(tmp_path / 'leak.mkv')) > 1


def test_a_list_of_cuts_takes_the_place_of_the_search(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(20))
    (tmp_path / 'cuts.txt').write_text('# scenes\n5\n0:00.4\n')
    job = enlarge(source, tmp_path / 'out.mkv', cuts=Cuts(listed=tmp_path / 'cuts.txt'))
    assert job.survey.scenes == ((0, 5), (5, 10), (10, 20))
    (tmp_path / 'cuts.txt').write_text('five\n')
    with pytest.raises(UserError, match=r"line 1 of .*'five'"):
        enlarge(source, tmp_path / 'other.mkv', cuts=Cuts(listed=tmp_path / 'cuts.txt'))
    # of a part of a film, a list of the whole film is good
    (tmp_path / 'cuts.txt').write_text('5\n10\n0:00.72\n')
    part = {'start': 0.3, 'end': 0.6}
    job = enlarge(source, tmp_path / 'part.mkv', cuts=Cuts(listed=tmp_path / 'cuts.txt'), **part)
    assert job.survey.scenes == ((0, 2), (2, 7))
    for late in ('20', '0.79s'):
        (tmp_path / 'cuts.txt').write_text(late)
        with pytest.raises(UserError, match=r'line 1 of .* has .* but the film (has 20|ends at 0.76 s); correct it'):
            enlarge(source, tmp_path / 'other.mkv', cuts=Cuts(listed=tmp_path / 'cuts.txt'))


@pytest.mark.parametrize(
    'suffix, dtype', [('.png', np.uint8), ('.png', np.uint16), ('.webp', np.uint8), ('.tif', np.uint16)]
)
@pytest.mark.parametrize('gray', [False, True])
def test_folders_of_images_keep_names_depth_and_samples(tmp_path, suffix, dtype, gray):
    if gray and suffix == '.webp':
        pytest.skip('WebP has no gray')
    rng = np.random.default_rng(0)
    folder = tmp_path / 'in'
    folder.mkdir()
    shape = (17, 23) if gray else (17, 23, 3)
    images = {f'frame{i}': rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype) for i in (2, 10, 1)}
    for name, image in images.items():
        cv2.imwrite(str(folder / f'{name}{suffix}'), image, [cv2.IMWRITE_WEBP_QUALITY, 101])
    enlarge(folder, tmp_path / 'out')
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == sorted(f'{name}{suffix}' for name in images)
    for name, image in images.items():
        assert np.array_equal(cv2.imread(str(tmp_path / 'out' / f'{name}{suffix}'), cv2.IMREAD_UNCHANGED), image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


def test_films_become_images_and_images_films(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(4))
    enlarge(source, tmp_path / 'images', Nearest(2))
    assert [path.name for path in sorted((tmp_path / 'images').iterdir())] == [f'{i:08d}.png' for i in range(4)]
    enlarge(tmp_path / 'images', tmp_path / 'film.mp4', rate=Fraction(30000, 1001), wishes=Wishes())
    assert stamps_of(tmp_path / 'film.mp4') == [Fraction(1001 * i, 30000) for i in range(4)]


def test_the_input_stands_beside_the_output_on_demand(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(3))
    enlarge(source, tmp_path / 'out.mkv', Nearest(2), beside=True)
    assert learn(tmp_path / 'out.mkv').width == 2 * 2 * 64


def test_another_scale_than_the_networks_is_resampled_at_the_end(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(3))
    enlarge(source, tmp_path / 'out.mkv', Nearest(4), outscale=1.5)
    facts = learn(tmp_path / 'out.mkv')
    assert (facts.height, facts.width) == (72, 96)


def test_windows_are_as_long_as_wanted(tmp_path):
    source, network = make_film(tmp_path / 'in.mkv', scene(20)), Nearest()
    enlarge(source, tmp_path / 'out.mkv', network, window=8, context=2)
    assert network.seen == [8] * 4


def test_the_network_goes_on_while_a_window_waits_for_the_encoder(tmp_path):
    second = threading.Event()

    class Watched(Nearest):
        def restore(self, clip):
            if self.seen:
                second.set()
            return super().restore(clip)

    class Slow(Quiet):
        went_on = True

        def wrote(self, frames):
            super().wrote(frames)
            self.went_on = self.went_on and second.wait(5)

    source = make_film(tmp_path / 'in.mkv', scene(100, 16, 16), codec='ffv1')
    network, watcher = Watched(), Slow()
    run_job(
        planned(Request(source, tmp_path / 'out.mkv', wishes=LOSSLESS, window=60), network, watcher), [network], watcher
    )
    assert watcher.went_on
    assert watcher.frames == 100


def test_an_output_that_is_there_or_is_the_input_is_refused(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(2))
    with pytest.raises(UserError, match='is the input'):
        enlarge(source, source)
    (tmp_path / 'there.mkv').write_text('precious')
    with pytest.raises(UserError, match='exists'):
        enlarge(source, tmp_path / 'there.mkv')
    assert (tmp_path / 'there.mkv').read_text() == 'precious'
    enlarge(source, tmp_path / 'there.mkv', overwrite=True)
    assert len(read_film(tmp_path / 'there.mkv')) == 2


def test_a_network_of_another_scale_than_it_says_is_refused_and_leaves_no_film(tmp_path):
    class Wrong(Nearest):
        def restore(self, clip):
            return clip

    source = make_film(tmp_path / 'in.mkv', scene(2))
    with pytest.raises(UserError, match='scale does not match'):
        enlarge(source, tmp_path / 'out.mkv', Wrong(2))
    assert not (tmp_path / 'out.mkv').exists()


@pytest.mark.parametrize('precision, cure', [('fp32', 'other weights'), ('bf16', '--precision fp32')])
def test_values_that_are_no_numbers_are_told_with_a_cure_that_is_not_in_use(tmp_path, precision, cure):
    class Broken(Nearest):
        def restore(self, clip):
            return super().restore(clip) * float('nan')

    network = Broken(2)
    network.precision = precision
    network.with_precision = lambda other: Nearest(2)
    source = make_film(tmp_path / 'in.mkv', scene(2))
    with pytest.raises(UserError, match=f'no numbers in {precision}; give {cure}'):
        enlarge(source, tmp_path / 'out.mkv', network)


def test_what_matroska_does_not_hold_exactly_is_said(tmp_path):
    codes = scene(3)
    ragged = {'stamps': [0, 1001, 2002], 'time_base': Fraction(1, 30000), 'codec': 'libx264'}
    source = make_film(tmp_path / 'in.mp4', codes, aspect=Fraction(4, 3), **ragged)
    job = enlarge(source, tmp_path / 'out.mkv', wishes=Wishes('ffv1'))
    assert any('milliseconds' in note for note in job.notes)
    assert any('pixels are 4/3 wide' in note for note in job.notes)
    assert not enlarge(source, tmp_path / 'out.mp4', wishes=Wishes('libx264')).notes
