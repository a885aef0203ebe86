import cv2
import numpy as np
import pytest

from gsm_plugin.cli.main import main
from gsm_plugin.data.tools import degrading_real
from gsm_plugin.data.tools.degrading_real import degrade_real_clips
from gsm_plugin.errors import UserError
from tests.data.pictures import write_clips
from tests.data.tools.miniature import write_video


def read_all(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*.png'))}


def test_clips_get_lq_under_their_names_by_the_seed(tmp_path):
    write_clips(tmp_path / 'gt')
    assert degrade_real_clips(tmp_path / 'gt', tmp_path / 'one', {}, seed=3) == 18
    degrade_real_clips(tmp_path / 'gt', tmp_path / 'two', {}, seed=3, workers=1)
    degrade_real_clips(tmp_path / 'gt', tmp_path / 'other', {}, seed=4)
    one, two, other = (read_all(tmp_path / name) for name in ('one', 'two', 'other'))
    assert list(one) == [f'{clip}/{frame:08d}.png' for clip in 'ab' for frame in range(9)]
    assert one == two
    assert all(one[name] != other[name] for name in one)
    assert cv2.imread(str(tmp_path / 'one' / 'a' / '00000000.png')).shape == (16, 20, 3)
    assert not list((tmp_path / 'one').glob('.*'))


def test_a_clip_does_not_depend_on_the_others(tmp_path):
    write_clips(tmp_path / 'gt')
    write_clips(tmp_path / 'alone', clips=('a', 'b'))
    for path in (tmp_path / 'alone' / 'a').iterdir():
        path.unlink()
    (tmp_path / 'alone' / 'a').rmdir()
    degrade_real_clips(tmp_path / 'gt', tmp_path / 'all', {}, seed=3)
    degrade_real_clips(tmp_path / 'alone', tmp_path / 'one', {}, seed=3)
    assert read_all(tmp_path / 'all' / 'b') == read_all(tmp_path / 'one' / 'b')


def test_an_interrupted_run_is_gone_on_with(tmp_path, monkeypatch):
    write_clips(tmp_path / 'gt')
    degrade_real_clips(tmp_path / 'gt', tmp_path / 'expected', {}, seed=3)
    damaged = tmp_path / 'gt' / 'b' / '00000004.png'
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:200])
    with pytest.raises(UserError, match=r'00000004.png is damaged'):
        degrade_real_clips(tmp_path / 'gt', tmp_path / 'out', {}, seed=3, workers=1)
    assert not (tmp_path / 'out').exists()
    assert (tmp_path / 'out.part' / 'a' / '00000008.png').is_file()
    monkeypatch.setattr(
        degrading_real, 'fingerprint', lambda *_: (tmp_path / 'out.part' / 'made_from.txt').read_bytes()
    )
    damaged.write_bytes(whole)
    # Not read again.
    (tmp_path / 'gt' / 'a' / '00000000.png').write_bytes(whole)
    assert degrade_real_clips(tmp_path / 'gt', tmp_path / 'out', {}, seed=3) == 18
    assert read_all(tmp_path / 'out') == read_all(tmp_path / 'expected')


def test_a_video_is_degraded_beside_its_gt(tmp_path):
    write_video(tmp_path / 'film.avi', [5], (50, 66))
    assert degrade_real_clips(tmp_path / 'film.avi', tmp_path / 'out', {}, seed=0, with_gt=True) == 5
    assert cv2.imread(str(tmp_path / 'out' / 'GT' / 'film' / '00000004.png')).shape == (48, 64, 3)
    assert cv2.imread(str(tmp_path / 'out' / 'LQ' / 'film' / '00000004.png')).shape == (12, 16, 3)


def test_frames_of_two_sizes_are_refused(tmp_path):
    write_clips(tmp_path / 'gt')
    cv2.imwrite(str(tmp_path / 'gt' / 'a' / '00000003.png'), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UserError, match=r'a/00000003.png has 64x64 pixels, the frames before it 64x80'):
        degrade_real_clips(tmp_path / 'gt', tmp_path / 'out', {}, seed=3)


def test_the_command_takes_the_degradation_of_an_option_file(tmp_path, capsys):
    write_clips(tmp_path / 'gt')
    off = '{blur_prob: 0, resize_prob: 0, noise_prob: 0, jpeg_prob: 0}'
    degradation = f'{{kind: real, first: {off}, second: {off}, final_filters: {{area: 1}}, codec: {{prob: 0}}}}'
    (tmp_path / 'o.yml').write_text(f'datasets: {{train: {{degradation: {degradation}}}}}\n')
    words = ['data', 'degrade', str(tmp_path / 'gt'), str(tmp_path / 'out'), '--kind', 'real', '--seed', '1']
    main([*words, '-opt', str(tmp_path / 'o.yml')])
    assert '18 frames' in capsys.readouterr().out
    gt = cv2.imread(str(tmp_path / 'gt' / 'a' / '00000002.png'))
    expected = cv2.resize(gt, (20, 16), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'out' / 'a' / '00000002.png')), expected)


@pytest.mark.parametrize(
    'words, sentence',
    [(['--kind', 'real'], 'give --seed N'), (['--kind', 'bi', '--seed', '1'], 'seed is for --kind real')],
)
def test_flags_that_do_not_fit_the_kind_are_refused(tmp_path, words, sentence, capsys):
    write_clips(tmp_path / 'gt')
    with pytest.raises(SystemExit):
        main(['data', 'degrade', str(tmp_path / 'gt'), str(tmp_path / 'out'), *words])
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
