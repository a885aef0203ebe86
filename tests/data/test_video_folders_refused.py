import os

import cv2
import lmdb
import numpy as np
import pytest

from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset
from gsm_plugin.errors import UserError
from tests.data.video_folders import frame_names, options, write_clip, write_lmdb


def test_images_beside_clip_folders_are_refused(tmp_path):
    write_clip(tmp_path, 'a', frame_names(1))
    write_clip(tmp_path, '.', ['preview.png'])
    with pytest.raises(UserError, match=r'preview\.png.*beside folders \(a\)'):
        VideoFoldersDataset(options(tmp_path, 'val'))


def remove(root, *parts):
    os.remove(root.joinpath(*parts))


def test_a_missing_frame_is_named_with_its_clip_and_the_cure(tmp_path):
    write_clip(tmp_path, 'a', frame_names(4))
    remove(tmp_path, 'GT', 'a', '00000002.png')
    with pytest.raises(UserError, match=r'clip a has no frame 00000002 in dataroot_gt.*add, remove or rename'):
        VideoFoldersDataset(options(tmp_path))


def test_frames_with_other_names_are_not_matched_by_position(tmp_path):
    write_clip(tmp_path, 'a', ['0.png', '1.png', '2.png'], kinds=['LQ'])
    write_clip(tmp_path, 'a', ['1.png', '2.png', '3.png'], kinds=['GT'])
    with pytest.raises(UserError, match='clip a has no frame 0 in dataroot_gt'):
        VideoFoldersDataset(options(tmp_path))


@pytest.mark.parametrize('kind, key', [('GT', 'dataroot_gt'), ('LQ', 'dataroot_lq')])
def test_a_missing_clip_is_named(tmp_path, kind, key):
    write_clip(tmp_path, 'a', frame_names(3))
    write_clip(tmp_path, 'b', frame_names(3), kinds=[{'GT': 'LQ', 'LQ': 'GT'}[kind]])
    with pytest.raises(UserError, match=f'clip b is missing in {key}'):
        VideoFoldersDataset(options(tmp_path))


def test_a_wrong_scale_is_found_at_the_start(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    with pytest.raises(UserError, match='16x24 pixels, which is not 3 times the 8x12'):
        VideoFoldersDataset(options(tmp_path, scale=3, gt_size=9))


def test_a_short_clip_is_named_at_the_start(tmp_path):
    write_clip(tmp_path, 'a', frame_names(4))
    VideoFoldersDataset(options(tmp_path, num_frame=4))
    with pytest.raises(UserError, match=r'clip a has 4 frames, .* need 5; lower num_frame'):
        VideoFoldersDataset(options(tmp_path, interval_list=[1, 2]))


def test_a_crop_larger_than_the_clip_is_found_at_the_start(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    with pytest.raises(UserError, match='GT of clip a has 16x24 pixels, less than gt_size 18'):
        VideoFoldersDataset(options(tmp_path, gt_size=18))


@pytest.mark.parametrize('phase', ['train', 'val'])
@pytest.mark.parametrize('content', [b'', b'not an image', 'truncated'])
def test_a_damaged_image_is_named(tmp_path, phase, content):
    write_clip(tmp_path, 'a', frame_names(3))
    path = tmp_path / 'LQ' / 'a' / '00000001.png'
    path.write_bytes(path.read_bytes()[:60] if content == 'truncated' else content)
    with pytest.raises(UserError, match=r'00000001\.png is (empty|damaged, cut, or no image).*; copy or make it again'):
        VideoFoldersDataset(options(tmp_path, phase))[0]


def test_a_frame_of_another_size_is_named(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    cv2.imwrite(str(tmp_path / 'LQ' / 'a' / '00000001.png'), np.zeros((8, 10, 3), np.uint8))
    for phase in ('train', 'val'):
        with pytest.raises(UserError, match=r'00000001\.png has 8x10 pixels but .*00000000\.png has 8x12'):
            VideoFoldersDataset(options(tmp_path, phase))[0]


def test_gt_of_another_size_within_a_clip_is_named(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    cv2.imwrite(str(tmp_path / 'GT' / 'a' / '00000001.png'), np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(UserError, match=r'00000001\.png has 16x20 pixels, which is not 2 times'):
        VideoFoldersDataset(options(tmp_path, 'val')).read_gt(0, 1)


def test_a_missing_lmdb_key_is_named_with_the_database(tmp_path):
    write_lmdb(tmp_path, {'a': 3})
    with lmdb.open(str(tmp_path / 'LQ.lmdb'), map_size=2**24) as env, env.begin(write=True) as transaction:
        transaction.delete(b'a/00000001')
    with pytest.raises(UserError, match=r'LQ\.lmdb has no key a/00000001'):
        VideoFoldersDataset(options(tmp_path, suffix='.lmdb'))[0]


def test_an_lmdb_without_meta_info_is_refused(tmp_path):
    write_lmdb(tmp_path, {'a': 3})
    remove(tmp_path, 'GT.lmdb', 'meta_info.txt')
    with pytest.raises(UserError, match=r'GT\.lmdb has no meta_info\.txt'):
        VideoFoldersDataset(options(tmp_path, suffix='.lmdb'))


def test_a_wrong_frame_count_in_meta_info_is_refused(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    (tmp_path / 'meta.txt').write_text('a 4 (16,24,3)\n')
    with pytest.raises(UserError, match='gives clip a 4 frames, but dataroot_lq has 3'):
        VideoFoldersDataset(options(tmp_path, meta_info_file=str(tmp_path / 'meta.txt')))


@pytest.mark.parametrize('backend', ['', '.lmdb'])
def test_a_clip_that_only_meta_info_knows_is_refused(tmp_path, backend):
    write_lmdb(tmp_path, {'a': 3})
    write_clip(tmp_path, 'a', frame_names(3))
    (tmp_path / 'meta.txt').write_text('zebra\n')
    with pytest.raises(UserError, match='zebra'):
        VideoFoldersDataset(options(tmp_path, suffix=backend, meta_info_file=str(tmp_path / 'meta.txt')))


@pytest.mark.parametrize(
    'phase, changes, message',
    [
        ('training', {}, "phase is 'training'"),
        ('train', {'io_backend': {'type': 'memcached'}}, "type is 'memcached'; it must be disk or lmdb"),
        ('train', {'dataroot_gt': None}, 'dataroot_gt is empty'),
        ('val', {'dataroot_lq': None}, 'dataroot_lq is empty'),
        ('val', {'scale': 1.5}, 'scale is 1.5; it must be a whole number'),
        ('train', {'num_frame': -1}, 'num_frame is -1; it must be a whole number'),
        ('train', {'num_frame': '7'}, "num_frame is '7'"),
        ('train', {'gt_size': 0}, 'gt_size is 0'),
        ('train', {'gt_size': 9}, 'gt_size is 9, no multiple of scale 2'),
        ('train', {'interval_list': [1, 0]}, r'interval_list is \[1, 0\]; it must be'),
        (
            'train',
            {'interval_list': 2},
            r'interval_list is 2; it must be a list of whole numbers from 1 up, such',
        ),
        ('val', {'use_hflip': True}, 'use_hflip is read in training only'),
        ('val', {'num_frame': 7}, 'num_frame is 7, but validation takes whole clips'),
    ],
)
def test_wrong_options_are_named(tmp_path, phase, changes, message):
    write_clip(tmp_path, 'a', frame_names(3))
    with pytest.raises(UserError, match=message):
        VideoFoldersDataset({**options(tmp_path, phase), **changes})


@pytest.mark.parametrize('key', ['dataroot_lq', 'dataroot_gt', 'meta_info_file'])
def test_a_missing_path_is_named(tmp_path, key):
    write_clip(tmp_path, 'a', frame_names(3))
    with pytest.raises(UserError, match='nowhere does not exist'):
        VideoFoldersDataset(options(tmp_path, **{key: str(tmp_path / 'nowhere')}))


def test_a_root_without_images_or_folders_is_named(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(UserError, match='nothing has neither images nor folders of images'):
        VideoFoldersDataset(options(tmp_path, dataroot_lq=str(tmp_path / 'nothing')))


def test_a_frame_that_is_there_twice_is_named(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    write_clip(tmp_path, 'a', ['00000001.bmp'], kinds=['LQ'])
    with pytest.raises(UserError, match=r'00000001\.\w+ and 00000001\.\w+ are the same frame twice; remove one'):
        VideoFoldersDataset(options(tmp_path))


def test_lmdb_keys_without_a_clip_are_named(tmp_path):
    write_lmdb(tmp_path, {'a': 3})
    (tmp_path / 'LQ.lmdb' / 'meta_info.txt').write_text('0001.png (8,12,3) 1\n')
    with pytest.raises(UserError, match=r'LQ\.lmdb.meta_info\.txt lists the key 0001; keys .* must be clip/frame'):
        VideoFoldersDataset(options(tmp_path, suffix='.lmdb'))


def test_an_empty_clip_list_is_refused(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    (tmp_path / 'meta.txt').write_text('\n')
    with pytest.raises(UserError, match=r'meta\.txt names no clip; write one folder name per line'):
        VideoFoldersDataset(options(tmp_path, meta_info_file=str(tmp_path / 'meta.txt')))


@pytest.mark.parametrize('name', ['@eaDir', '__MACOSX', '.ipynb_checkpoints'])
def test_folders_that_machines_put_beside_clips_are_passed_over(tmp_path, name):
    write_clip(tmp_path, 'a', frame_names(3))
    for kind in ('GT', 'LQ'):
        (tmp_path / kind / name).mkdir()
    assert len(VideoFoldersDataset(options(tmp_path, 'val'))) == 1


def test_a_clip_folder_without_images_is_named(tmp_path):
    write_clip(tmp_path, 'a', frame_names(3))
    (tmp_path / 'LQ' / 'empty').mkdir()
    with pytest.raises(UserError, match=r'empty has no images'):
        VideoFoldersDataset(options(tmp_path))
