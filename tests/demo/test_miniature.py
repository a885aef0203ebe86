import cv2
import numpy as np
import pytest

from gsm_plugin.data.degradations import degrade
from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.demo.miniature import write_clips, write_miniature
from gsm_plugin.errors import UserError


def frames(count, height=16, width=24):
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file())


def test_clips_have_both_kinds_of_lq(tmp_path):
    clips = {'a': frames(2), 'b': frames(1, 8, 8)}
    write_clips(clips, tmp_path / 'clips')
    names = ('a/00000000', 'a/00000001', 'b/00000000')
    expected = [f'{kind}/{name}' for kind in ('BDx4', 'BIx4', 'GT') for name in names]
    assert files(tmp_path / 'clips') == [f'{name}.png' for name in expected]
    for kind, folder in (('bi', 'BIx4'), ('bd', 'BDx4')):
        written = cv2.imread(str(tmp_path / 'clips' / folder / 'a' / '00000001.png'))
        np.testing.assert_array_equal(written, degrade(clips['a'][1], kind))


def test_a_layout_is_that_of_the_leaderboard(tmp_path):
    write_miniature(PROTOCOLS['vimeo90k-t'], frames(9), 3, 2, tmp_path / 'mini')
    found = files(tmp_path / 'mini' / 'vimeo90k')
    assert len(found) == 1 + 3 * 2 * 7
    assert 'sequences/00001/0002/im7.png' in found
    text = (tmp_path / 'mini' / 'vimeo90k' / 'meta_info_Vimeo90K_test_GT.txt').read_text()
    assert text == '00001/0001 7 (16,24,3)\n00001/0002 7 (16,24,3)\n'


def test_what_exists_is_not_replaced_and_nothing_half_made_stays(tmp_path):
    (tmp_path / 'there').mkdir()
    with pytest.raises(UserError, match='there exists; remove it'):
        write_clips({'a': frames(1)}, tmp_path / 'there')
    with pytest.raises(ValueError):
        write_clips({'a': frames(1, 9, 9)}, tmp_path / 'odd')
    assert [path.name for path in tmp_path.iterdir()] == ['there']
