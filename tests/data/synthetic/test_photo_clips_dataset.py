import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.synthetic.photo_clips_dataset import PhotoClipsDataset
from gsm_plugin.errors import UserError
from tests.data.pictures import assert_same_levels, same, sample, write_stills


def options(tmp_path, **more):
    if not (tmp_path / 'stills').exists():
        write_stills(tmp_path / 'stills')
    return {
        'name': 'stills',
        'phase': 'train',
        'scale': 4,
        'dataroot_stills': str(tmp_path / 'stills'),
        'num_frame': 3,
        'gt_size': 32,
        'degradation': {'kind': 'bi'},
        **more,
    }


def test_items_have_the_shapes_and_range_of_a_training_set(tmp_path):
    dataset = PhotoClipsDataset(options(tmp_path))
    item = sample(dataset)
    assert len(dataset) == 2
    assert (item['lq'].shape, item['gt'].shape) == ((3, 3, 8, 8), (3, 3, 32, 32))
    assert item['gt'].dtype == torch.float32
    assert 0 <= item['gt'].min() < item['gt'].max() <= 1
    assert item['key'] == 'still0'


def test_what_is_drawn_depends_on_the_seeds_of_the_sample_alone(tmp_path):
    dataset = PhotoClipsDataset(options(tmp_path, use_hflip=True, use_rot=True, blur_prob=0.5))
    first = sample(dataset, 1, place=7)
    sample(dataset, 0, place=8)
    assert same(sample(PhotoClipsDataset(options(tmp_path, use_hflip=True, use_rot=True, blur_prob=0.5)), 1, 7), first)
    assert not same(sample(dataset, 1, place=9), first)


def test_lq_is_matlab_bicubic_of_what_lies_around_gt_too(tmp_path):
    item = sample(PhotoClipsDataset(options(tmp_path, objects=[0, 0])))
    gt = np.rint(item['gt'].numpy().transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    lq = np.rint(item['lq'].numpy().transpose(0, 2, 3, 1) * 255).astype(np.uint8)
    for frame in range(3):
        assert_same_levels(resize_bicubic(gt[frame], 1 / 4)[2:-2, 2:-2], lq[frame][2:-2, 2:-2])
    assert (resize_bicubic(gt[0], 1 / 4) != lq[0]).mean() > 0.02


def test_a_photograph_may_rest_and_objects_still_move(tmp_path):
    resting = sample(PhotoClipsDataset(options(tmp_path, still_prob=1.0, objects=[0, 0])))['gt']
    assert (resting[0] == resting[2]).all()
    crossed = sample(PhotoClipsDataset(options(tmp_path, still_prob=1.0, objects=[6, 6], shift=[4, 4])))['gt']
    changed = (crossed[0] != crossed[2]).any(0)
    assert 0 < changed.float().mean() < 1


def test_cutouts_are_taken_as_objects(tmp_path):
    (tmp_path / 'cutouts').mkdir()
    red = np.zeros((20, 20, 4), np.uint8)
    red[4:16, 4:16] = (0, 0, 255, 255)
    cv2.imwrite(str(tmp_path / 'cutouts' / 'red.png'), red)
    more = {'dataroot_cutouts': str(tmp_path / 'cutouts'), 'cutout_prob': 1.0, 'objects': [6, 6]}
    gt = sample(PhotoClipsDataset(options(tmp_path, **more)))['gt']
    assert ((gt[:, 0] == 1) & (gt[:, 1] == 0) & (gt[:, 2] == 0)).any()


def test_a_photograph_smaller_than_the_crop_is_enlarged(tmp_path):
    write_stills(tmp_path / 'stills', height=20, width=24)
    assert sample(PhotoClipsDataset(options(tmp_path)))['gt'].shape == (3, 3, 32, 32)


@pytest.mark.parametrize(
    'changed, words',
    [
        ({'phase': 'val'}, "for training only; take it out of 'val'"),
        ({'gt_size': 30}, 'gt_size is 30, no multiple of scale 4; set one'),
        ({'shift': [5, 1]}, r'shift is \[5, 1\]; it must be a range'),
        ({'blur_prob': 2}, 'blur_prob is 2; it must be a number from 0 to 1'),
        ({'objects': 3}, 'objects is 3; it must be a range'),
        ({'use_rot': 'yes'}, "use_rot is 'yes'; it must be true or false"),
        ({'num_frame': None}, 'num_frame is empty .*; set it: frames of a training clip'),
        ({'degradation': None}, 'degradation is empty .*; set it: how LQ is made, such as'),
        ({'degradation': {'kind': 'bicubic'}}, "degradation:kind is 'bicubic'; it must be one of bi"),
        ({'dataroot_stills': 'nowhere'}, 'folder nowhere does not exist; correct dataroot_stills'),
    ],
)
def test_wrong_options_end_in_one_sentence(tmp_path, changed, words):
    with pytest.raises(UserError, match=words):
        PhotoClipsDataset(options(tmp_path, **changed))


def test_a_cutout_without_alpha_is_named(tmp_path):
    (tmp_path / 'cutouts').mkdir()
    cv2.imwrite(str(tmp_path / 'cutouts' / 'flat.png'), np.zeros((9, 9, 3), np.uint8))
    more = {'dataroot_cutouts': str(tmp_path / 'cutouts'), 'cutout_prob': 1.0, 'objects': [1, 1]}
    with pytest.raises(UserError, match=r'flat.png is no image of 8 bit with alpha'):
        sample(PhotoClipsDataset(options(tmp_path, **more)))
