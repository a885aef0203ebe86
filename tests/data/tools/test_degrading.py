import cv2
import numpy as np
import pytest

from gsm_plugin.data.degradations import degrade
from gsm_plugin.data.layouts import find_layout
from gsm_plugin.data.tools import degrading
from gsm_plugin.data.tools.checking import check_dataset
from gsm_plugin.data.tools.degrading import degrade_clips
from gsm_plugin.data.videos import decode_video
from gsm_plugin.errors import UserError
from tests.data.tools.miniature import damage, everything_below, reds_names, write_frame, write_pair, write_video


@pytest.fixture
def gt(tmp_path):
    write_pair(tmp_path, {'000': reds_names(3), 'deep/001': reds_names(3)})
    return tmp_path / 'GT'


@pytest.mark.parametrize('kind', ['bi', 'bd', 'bd-duf'])
def test_every_frame_is_degraded_under_its_name(gt, tmp_path, kind):
    assert degrade_clips(gt, tmp_path / 'out', kind) == 6
    for name in ('000/00000000.png', 'deep/001/00000002.png'):
        expected = degrade(cv2.imread(str(gt / name)), kind)
        assert np.array_equal(cv2.imread(str(tmp_path / 'out' / name)), expected)
    assert check_dataset(find_layout('clips'), gt, tmp_path / 'out').findings == []
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['000', 'deep']
    assert not (tmp_path / 'out.part').exists()


def test_a_video_becomes_a_clip_of_its_name_and_gt_is_cut_to_fit(tmp_path):
    write_video(tmp_path / 'film.avi', [5], (50, 66))
    assert degrade_clips(tmp_path / 'film.avi', tmp_path / 'out', 'bi', with_gt=True) == 5
    for i, frame in enumerate(decode_video(tmp_path / 'film.avi')):
        name = f'film/{i:08d}.png'
        assert np.array_equal(cv2.imread(str(tmp_path / 'out' / 'GT' / name)), frame[:48, :64])
        assert np.array_equal(cv2.imread(str(tmp_path / 'out' / 'LQ' / name)), degrade(frame[:48, :64], 'bi'))


def test_other_formats_become_png(tmp_path):
    write_frame(tmp_path / 'GT' / 'a' / '0.bmp', 0)
    degrade_clips(tmp_path / 'GT', tmp_path / 'out', 'bi', scale=2)
    assert list(everything_below(tmp_path / 'out')) == ['a', 'a/0.png']


def stop_at(monkeypatch, number):
    calls = []

    def degrade_or_stop(*arguments):
        calls.append(arguments)
        if len(calls) >= number:
            # also for the frames that the thread takes before it hears of the interruption
            raise KeyboardInterrupt
        return degrade(*arguments)

    monkeypatch.setattr(degrading, 'degrade', degrade_or_stop)
    return calls


def test_an_interrupted_run_looks_unfinished_and_is_gone_on_with(gt, tmp_path, monkeypatch):
    degrade_clips(gt, tmp_path / 'whole', 'bi')
    stop_at(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        degrade_clips(gt, tmp_path / 'out', 'bi', workers=1)
    assert not (tmp_path / 'out').exists()
    calls = stop_at(monkeypatch, 99)
    assert degrade_clips(gt, tmp_path / 'out', 'bi') == 6
    assert len(calls) == 3
    assert everything_below(tmp_path / 'out') == everything_below(tmp_path / 'whole')


@pytest.mark.parametrize('change', ['kind', 'source'])
def test_what_was_made_otherwise_is_made_anew(gt, tmp_path, monkeypatch, change):
    stop_at(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        degrade_clips(gt, tmp_path / 'out', 'bi', workers=1)
    if change == 'source':
        write_frame(gt / '000' / '00000000.png', seed=77)
    calls = stop_at(monkeypatch, 99)
    degrade_clips(gt, tmp_path / 'out', 'bd' if change == 'kind' else 'bi')
    assert len(calls) == 6


def test_mistakes_are_named_and_leave_nothing_that_looks_finished(gt, tmp_path):
    (tmp_path / 'there').mkdir()
    write_frame(tmp_path / 'odd' / 'a' / '0.png', 0, (18, 24))
    write_frame(tmp_path / 'broken' / 'a' / '0.png', 0)
    damage(tmp_path / 'broken' / 'a' / '0.png', 'cut')
    write_frame(tmp_path / 'twice' / 'a' / '0.png', 0)
    write_frame(tmp_path / 'twice' / 'a' / '0.bmp', 0)
    for clip, sizes in {'a': [(16, 24), (16, 24)], 'b': [(24, 16), (24, 16), (16, 24)]}.items():
        for number, size in enumerate(sizes):
            write_frame(tmp_path / 'mixed' / clip / f'{number}.png', 0, size)
    mixed = r'mixed/b/2\.png has 16x24 pixels, the frames before it 24x16; make all frames of a clip the same size'
    for source, out, kind, message in (
        ('mixed', 'out', 'bi', mixed),
        ('GT', 'there', 'bi', 'there exists; remove it'),
        ('GT', 'out', 'blur', r"No degradation is called 'blur'; take one of bi, bd, bd-duf"),
        ('nowhere', 'out', 'bi', 'nowhere does not exist'),
        ('odd', 'out', 'bi', r'a/0\.png has 18x24 pixels, which scale 4 does not divide; .* --with-gt'),
        ('broken', 'out', 'bi', r'broken/a/0\.png is damaged'),
        ('twice', 'out', 'bi', r'0\.png would have the same copy a/0\.png; rename one'),
    ):
        with pytest.raises(UserError, match=message):
            degrade_clips(tmp_path / source, tmp_path / out, kind)
        assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('place', ['LQ', '000/LQ'])
def test_a_place_among_the_clips_is_refused_since_its_frames_would_be_ground_truth(gt, place):
    before = list(everything_below(gt))
    with pytest.raises(UserError, match=f'{place} would lie in .*GT, whose clips .*; name a place outside'):
        degrade_clips(gt, gt / place, 'bi')
    assert list(everything_below(gt)) == before
