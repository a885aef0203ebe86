import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.compat.image_files import read_image, to_unit
from gsm_plugin.data.degradations import degrade
from gsm_plugin.errors import UserError
from gsm_plugin.scoring.clips import ReducedClipSet, Reduction, find_clips


def test_lq_frames_can_be_compressed(tmp_path):
    (tmp_path / 'a').mkdir()
    draw = np.random.default_rng(0)
    for i in range(3):
        cv2.imwrite(str(tmp_path / 'a' / f'{i}.png'), draw.integers(0, 256, (64, 96, 3)).astype(np.uint8))
    clean, good, bad = (
        ReducedClipSet(find_clips(tmp_path), Reduction('bi', crf=crf)).open('a').lq for crf in (None, 1, 45)
    )
    assert clean.shape == good.shape == bad.shape
    assert 0 < (good - clean).square().mean() < (bad - clean).square().mean()
    cv2.imwrite(str(tmp_path / 'a/0.png'), np.zeros((64, 96, 3), np.uint16))
    (tmp_path / 'a/1.png').unlink()
    (tmp_path / 'a/2.png').unlink()
    with pytest.raises(UserError, match='16 bits, which --crf'):
        ReducedClipSet(find_clips(tmp_path), Reduction('bi', crf=20)).open('a')
    # also where only a later one is of that kind
    for number, kind in enumerate((np.uint8, np.uint16)):
        cv2.imwrite(str(tmp_path / f'a/{number}.png'), np.zeros((64, 96, 3), kind))
    with pytest.raises(UserError, match='16 bits, which --crf'):
        ReducedClipSet(find_clips(tmp_path), Reduction('bi', crf=20)).open('a')


def test_clips_of_16_bits_are_compared_with_16_bits_and_strays_do_not_count(tmp_path):
    (tmp_path / 'a' / 'folder.png').mkdir(parents=True)
    (tmp_path / 'a' / 'Thumbs.db').touch()
    (tmp_path / 'a' / '._0.png').touch()
    draw = np.random.default_rng(0)
    for i in range(2):
        cv2.imwrite(str(tmp_path / 'a' / f'{i}.png'), draw.integers(0, 65536, (16, 24, 3)).astype(np.uint16))
    clips = ReducedClipSet(find_clips(tmp_path), Reduction('bi'))
    assert clips.lengths == {'a': 2}
    clip = clips.open('a')
    for i in range(2):
        gt = read_image(tmp_path / 'a' / f'{i}.png')
        for actual, image in ((clip.read_gt(i), gt), (clip.lq[i], degrade(gt, 'bi'))):
            expected = torch.from_numpy(to_unit(image)[..., ::-1].transpose(2, 0, 1).copy())
            torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    assert len(np.unique(clip.lq)) > 256 / 4
    assert not torch.equal((clip.lq * 255).round() / 255, clip.lq)


@pytest.mark.parametrize(
    'reduction, sentence',
    [
        (Reduction('bi'), r'a has no frames of at least 8x8 pixels; name another clip\.'),
        (
            Reduction('bd', shrink=3),
            r'at least 4x4 pixels when made 3 times smaller; name another clip, or a smaller --s',
        ),
        (Reduction('bd-duf', crf=23), r'a has no frames of at least 15x15 pixels; name another clip\.'),
    ],
)
def test_clips_of_which_too_little_would_be_left_are_named(tmp_path, reduction, sentence):
    (tmp_path / 'a').mkdir()
    cv2.imwrite(str(tmp_path / 'a/0.png'), np.zeros((7, 64, 3), np.uint8))
    with pytest.raises(UserError, match=sentence):
        ReducedClipSet(find_clips(tmp_path), reduction).open('a')
