import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.degrading.degraded_clips_dataset import DegradedClipsDataset
from gsm_plugin.data.tools.lmdb_making import make_lmdb
from gsm_plugin.errors import UserError
from tests.data.pictures import assert_same_levels, same, sample, write_clips


def options(tmp_path, **more):
    if not (tmp_path / 'gt').exists():
        write_clips(tmp_path / 'gt')
    return {
        'name': 'clips',
        'phase': 'train',
        'scale': 4,
        'dataroot_gt': str(tmp_path / 'gt'),
        'num_frame': 3,
        'gt_size': 32,
        'degradation': {'kind': 'bi'},
        **more,
    }


def to_images(frames):
    return np.rint(frames.numpy().transpose(0, 2, 3, 1)[..., ::-1] * 255).astype(np.uint8)


def test_crops_are_what_whole_frames_degraded_have_there(tmp_path):
    dataset = DegradedClipsDataset(options(tmp_path))
    for place in range(6):
        item = sample(dataset, index=12, place=place)
        gt, lq = to_images(item['gt']), to_images(item['lq'])
        assert (gt.shape, lq.shape) == ((3, 32, 32, 3), (3, 8, 8, 3))
        assert item['key'] == 'b/00000003'
        for number in range(3):
            whole = cv2.imread(str(tmp_path / 'gt' / 'b' / f'{number + 3:08d}.png'))
            found = cv2.matchTemplate(whole, gt[number], cv2.TM_SQDIFF)
            top, left = (int(one) for one in np.unravel_index(found.argmin(), found.shape))
            np.testing.assert_array_equal(whole[top : top + 32, left : left + 32], gt[number])
            assert (top % 4, left % 4) == (0, 0)
            expected = resize_bicubic(whole, 1 / 4)[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8]
            assert_same_levels(lq[number], expected)


def test_what_is_drawn_depends_on_the_seeds_of_the_sample_alone(tmp_path):
    more = {'use_hflip': True, 'use_rot': True, 'random_reverse': True, 'interval_list': [1, 2]}
    dataset = DegradedClipsDataset(options(tmp_path, **more))
    first = sample(dataset, 5, place=7)
    sample(dataset, 0, place=8)
    assert same(sample(DegradedClipsDataset(options(tmp_path, **more)), 5, 7), first)
    assert not same(sample(dataset, 5, place=9), first)


def test_lq_and_gt_are_turned_together(tmp_path):
    dataset = DegradedClipsDataset(options(tmp_path, use_hflip=True, use_rot=True))
    for place in range(8):
        item = sample(dataset, 2, place)
        small = torch.nn.functional.avg_pool2d(item['gt'], 4)
        assert (small - item['lq']).abs().mean() < 0.05


def test_an_lmdb_gives_the_items_of_its_folder(tmp_path):
    expected = sample(DegradedClipsDataset(options(tmp_path)), 4)
    make_lmdb(tmp_path / 'gt', tmp_path / 'gt.lmdb')
    more = {'dataroot_gt': str(tmp_path / 'gt.lmdb'), 'io_backend': {'type': 'lmdb'}}
    assert same(sample(DegradedClipsDataset(options(tmp_path, **more)), 4), expected)


def test_gt_is_shrunk_by_area(tmp_path):
    write_clips(tmp_path / 'gt', size=(72, 66))
    item = sample(DegradedClipsDataset(options(tmp_path, gt_shrink=2)), 0)
    whole = cv2.imread(str(tmp_path / 'gt' / 'a' / '00000000.png'))
    shrunk = cv2.resize(whole, (33, 36), interpolation=cv2.INTER_AREA)
    assert cv2.matchTemplate(shrunk, to_images(item['gt'])[0], cv2.TM_SQDIFF).min() == 0


def test_intervals_for_which_a_clip_is_too_short_are_not_drawn(tmp_path):
    dataset = DegradedClipsDataset(options(tmp_path, interval_list=[4, 5]))
    assert all(sample(dataset, place=place)['key'] == 'a/00000000' for place in range(6))


@pytest.mark.parametrize(
    'changed, words',
    [
        ({'phase': 'val'}, "for training only; make LQ of 'val' by basicsr data degrade"),
        ({'num_frame': 10}, 'clip a has 9 frames, num_frame and interval_list need 10'),
        ({'gt_size': 68}, 'GT of clip a has 64x80 pixels, less than gt_size 68'),
        ({'gt_size': 64, 'gt_shrink': 2}, 'GT of clip a has 32x40 pixels'),
        ({'io_backend': {'type': 'zip'}}, "io_backend:type is 'zip'; it must be disk or lmdb"),
        ({'interval_list': []}, r'interval_list is \[\]; it must be a list of whole numbers'),
        ({'dataroot_gt': None}, 'dataroot_gt is empty .*; set it: folder'),
    ],
)
def test_wrong_options_end_in_one_sentence(tmp_path, changed, words):
    with pytest.raises(UserError, match=words):
        DegradedClipsDataset(options(tmp_path, **changed))


def test_frames_of_two_sizes_in_a_clip_are_named(tmp_path):
    made = options(tmp_path)
    cv2.imwrite(str(tmp_path / 'gt' / 'a' / '00000001.png'), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UserError, match=r'00000001.png has 64x64 pixels but .*00000000.png has 64x80'):
        sample(DegradedClipsDataset(made), 0)
