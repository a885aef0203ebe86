import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video.colour import to_rgb
from gsm_plugin.inference.video.cuts import Cuts
from gsm_plugin.inference.video.facts import Picture
from gsm_plugin.inference.video.images import FolderReading, learn_folder
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.reading import Reading
from gsm_plugin.inference.video.survey import shrinking, survey
from tests.inference.video.films import make_film, scene


@pytest.mark.parametrize(
    ('name', 'full_range', 'matrix'),
    [('yuv444p', False, 1), ('yuv444p', True, 5), ('yuv444p10le', False, 9), ('gray10le', False, 1), ('gbrp', True, 0)],
)
def test_colours_of_small_frames_are_those_of_the_film(name, full_range, matrix):
    layout = Layout(name, full_range, matrix)
    codes = np.random.default_rng(0).integers(0, 2**layout.depth, (3, 12, 16))
    planes = tuple(codes[: len(layout.plane_shapes(12, 16))].astype(layout.dtype))
    small = shrinking(layout)(Picture(planes, 0, 1))
    rgb = to_rgb([torch.from_numpy(plane.astype(np.int32))[None] for plane in planes], layout)[0]
    expected = (255 * rgb).clamp(0, 255).permute(1, 2, 0).numpy()[..., ::-1]
    assert small.dtype == np.uint8
    assert np.abs(small - expected).max() < 1.01


def test_large_frames_become_small_and_keep_their_shape():
    planes = tuple(np.full(shape, 128, np.uint8) for shape in ((540, 1024), (270, 512), (270, 512)))
    small = shrinking(Layout('yuv420p', False, 1))(Picture(planes, 0, 1))
    assert small.shape == (135, 256, 3)
    assert small.min() == small.max() == 130


def pan(frames, seed=0, level=0):
    """Fast motion."""
    return scene(frames * 9, seed=seed, level=level)[::9]


@pytest.mark.parametrize('frames', [1, 2, 3, 4, 5, 12])
def test_motion_at_the_ends_of_short_films_is_no_cut(tmp_path, frames):
    source = make_film(tmp_path / 'in.mkv', pan(frames) * 2)
    assert survey(Reading(learn(source)), Cuts()).scenes == ((0, frames),)


@pytest.mark.parametrize('start, end', [(0, 3), (1, 9), (5, 9), (5, 13), (8, 10), (10, 14), (7, None), (7, 9)])
def test_a_part_has_the_cuts_of_the_whole_film(tmp_path, start, end):
    lengths = 8, 3, 9
    source = make_film(
        tmp_path / 'in.mkv', np.concatenate([pan(n, seed, 25 + 100 * (seed % 2)) for seed, n in enumerate(lengths)])
    )
    facts, frames = learn(source), sum(lengths)
    assert survey(Reading(facts), Cuts()).scenes == ((0, 8), (8, 11), (11, 20))
    stop = frames if end is None else end
    cuts = [cut - start for cut in (8, 11) if start < cut < stop]
    part = Reading(facts, start=start / 25, end=None if end is None else end / 25)
    assert [first for first, _ in survey(part, Cuts()).scenes] == [0, *cuts]


def test_what_cannot_be_read_beside_a_part_leaves_it_as_it_is(tmp_path):
    for number in range(8):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((20, 30, 3), 10 * number, np.uint8))
    facts = learn_folder(tmp_path)
    for damaged in (1, 6):
        (tmp_path / f'{damaged}.png').write_bytes(b'no image')
    found = survey(FolderReading(facts, 2 / float(facts.rate), 6 / float(facts.rate)), Cuts())
    assert found.stamps == (2, 3, 4, 5)
    assert found.faults == ()


def test_a_matroska_film_that_is_cut_off_is_refused_however_short(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(12))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(
        UserError, match=r'in.mkv is cut off \(.*File ended prematurely\); get it again, or give --salvage'
    ):
        survey(Reading(learn(source)), Cuts())
    found = survey(Reading(learn(source), salvage=True), Cuts())
    assert 0 < len(found.stamps) < 12
    assert 'File ended prematurely' in found.faults[0]


def test_a_part_before_the_place_where_a_film_is_cut_off_is_whole(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(60))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    facts = learn(source)
    there = len(survey(Reading(facts, salvage=True), Cuts()).stamps)
    found = survey(Reading(facts, end=(there - 2) / 25), Cuts())
    assert len(found.stamps) == there - 2
    assert found.faults == ()
