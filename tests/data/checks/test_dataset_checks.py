import logging
import shutil
from copy import deepcopy

import cv2
import numpy as np
import pytest

from gsm_plugin.data.checks import check_datasets
from gsm_plugin.errors import UserError
from gsm_plugin.registration import register_all
from tests import tiny_project

SEQUENCE = '00001/0001'


@pytest.fixture
def clips(tmp_path, data_folder):
    shutil.copytree(data_folder, tmp_path / 'data')
    return tmp_path / 'data'


def section(key, root, **changes):
    made = deepcopy(tiny_project.OPTIONS['datasets'][key]) | {'phase': key, 'scale': tiny_project.SCALE} | changes
    return {
        name: str(value).replace('data/', f'{root}/') if str(value).startswith('data/') else value
        for name, value in made.items()
        if value is not None
    }


def check(key, made):
    check_datasets({'datasets': {key: made}})


def write_image(path, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((side, side, 3), np.uint8))


def test_right_sets_pass(clips):
    check('train', section('train', clips))
    check('val', section('val', clips))


def test_a_clip_that_only_lq_has_is_named(clips):
    shutil.rmtree(clips / 'test' / 'GT' / 'b')
    with pytest.raises(UserError, match=r'datasets:val: clip b is missing in .*GT \(LQ has 2, GT has 1\)'):
        check('val', section('val', clips))


def test_basicsr_itself_pairs_the_wrong_clips(clips):
    from basicsr.data import build_dataset

    shutil.rmtree(clips / 'test' / 'GT' / 'a')
    actual = build_dataset(section('val', clips))
    assert (actual.data_info['lq_path'][0].split('/')[-2], actual.data_info['gt_path'][0].split('/')[-2]) == ('a', 'b')


@pytest.mark.parametrize('kind', ['LQ', 'GT'])
def test_a_frame_that_is_missing_is_named(clips, kind):
    (clips / 'test' / kind / 'a' / '00000001.png').unlink()
    with pytest.raises(UserError, match=f'frame 00000001 is missing in .*{kind}/a'):
        check('val', section('val', clips))


def test_sizes_that_do_not_fit_are_named(clips):
    with pytest.raises(UserError, match='has 16x16 pixels, which is not 4 times the 8x8'):
        check('val', section('val', clips, scale=4))
    with pytest.raises(UserError, match=r'datasets:train: .*which is not 4 times'):
        check('train', section('train', clips, scale=4))


def test_a_file_that_is_no_image_is_named(clips):
    (clips / 'test' / 'LQ' / 'b' / '00000000.png').write_text('text')
    with pytest.raises(UserError, match=r'LQ/b/00000000\.png is damaged, cut, or no image'):
        check('val', section('val', clips))


@pytest.mark.parametrize(
    'changes, expected',
    [
        ({'name': 'mine'}, "takes no name but Vid4, REDS4 and REDSofficial, not 'mine'.*VideoFoldersDataset"),
        ({'cache_data': False}, 'needs cache_data: true'),
        ({'io_backend': {'type': 'lmdb'}}, 'set io_backend:type disk'),
        ({'num_frame': None}, 'lacks num_frame'),
    ],
)
def test_what_the_recurrent_test_set_cannot_do_is_said_first(clips, changes, expected):
    with pytest.raises(UserError, match=expected):
        check('val', section('val', clips, **changes))


def test_a_list_of_clips_is_followed(clips, tmp_path):
    shutil.rmtree(clips / 'test' / 'GT' / 'b')
    listed = tmp_path / 'list.txt'
    listed.write_text('a 3 (16,16,3)\n')
    check('val', section('val', clips, meta_info_file=str(listed)))
    listed.write_text('b 3 (16,16,3)\n')
    with pytest.raises(UserError, match='GT/b does not exist'):
        check('val', section('val', clips, meta_info_file=str(listed)))


@pytest.mark.parametrize(
    'text, expected',
    [
        ('001 100\n', 'line 1 is .001 100.; a line looks like'),
        ('001 100 (16,16,3)\n\n001 100 (16,16,3)\n', 'line 3 names 001 again, after line 1'),
        ('', 'is empty'),
        ('000 100 (16,16,3)\n', 'has no clips that are left'),
        ('001 50 (16,16,3)\n', 'clip 001 has 50 frames .* take type VideoFoldersDataset'),
        ('001 101 (16,16,3)\n', r'frame 00000100\.png is missing'),
        ('002 100 (16,16,3)\n', 'LQ/002 does not exist'),
    ],
)
def test_a_list_that_does_not_fit_reds_is_refused(clips, text, expected):
    (clips / 'train' / 'meta_info.txt').write_text(text)
    with pytest.raises(UserError, match=expected):
        check('train', section('train', clips))


@pytest.mark.parametrize(
    'changes, expected',
    [
        ({'num_frame': 51, 'interval_list': [1, 2]}, 'span 102 frames of 100'),
        ({'val_partition': 'Vid4'}, "val_partition is 'Vid4'"),
        ({'use_rot': None}, 'lacks use_rot'),
        ({'test_mode': None}, 'lacks test_mode'),
    ],
)
def test_what_reds_cannot_do_is_said_first(clips, changes, expected):
    with pytest.raises(UserError, match=expected):
        check('train', section('train', clips, **changes))


def lmdb_section(tmp_path, lq, gt):
    for kind, lines in (('LQ', lq), ('GT', gt)):
        (tmp_path / f'{kind}.lmdb').mkdir()
        (tmp_path / f'{kind}.lmdb' / 'meta_info.txt').write_text(lines)
    made = section('train', tmp_path, io_backend={'type': 'lmdb'}, meta_info_file=str(tmp_path / 'list.txt'))
    (tmp_path / 'list.txt').write_text('001 100 (16,16,3)\n')
    return made | {'dataroot_lq': str(tmp_path / 'LQ.lmdb'), 'dataroot_gt': str(tmp_path / 'GT.lmdb')}


def lines(side, frames=100):
    return ''.join(f'001/{frame:08d}.png ({side},{side},3) 1\n' for frame in range(frames))


@pytest.mark.parametrize(
    'lq, gt, expected',
    [
        (lines(8), lines(16), None),
        (lines(8, 99), lines(16), 'image 001/00000099 is missing in .*LQ.lmdb'),
        (lines(8, 99), lines(16, 99), 'image 001/00000099 is missing'),
        (lines(8), lines(8), 'which is not 2 times the 8x8'),
        (lines(8), 'text\n', "line 1 is 'text'"),
    ],
)
def test_lmdbs_are_compared_by_their_lists(tmp_path, lq, gt, expected):
    made = lmdb_section(tmp_path, lq, gt)
    if expected is None:
        check('train', made)
        return
    with pytest.raises(UserError, match=expected):
        check('train', made)


def test_a_folder_that_is_no_lmdb_is_refused(clips):
    with pytest.raises(UserError, match='is no LMDB of BasicSR'):
        check('train', section('train', clips, io_backend={'type': 'lmdb'}))


@pytest.mark.parametrize(
    'key, changes, cure',
    [
        ('train', {}, 'set io_backend type: lmdb'),
        ('train', {'type': 'Vimeo90KRecurrentDataset', 'io_backend': None}, 'set io_backend type: lmdb'),
        ('val', {}, 'name a folder of clips'),
    ],
)
def test_an_lmdb_that_is_read_as_a_folder_is_told_as_one(clips, key, changes, cure):
    made = section(key, clips, **changes)
    (clips / 'LQ.lmdb').mkdir()
    (clips / 'LQ.lmdb' / 'data.mdb').touch()
    with pytest.raises(UserError, match=f'LQ.lmdb, an LMDB, but io_backend type is disk; {cure}'):
        check(key, made | {'dataroot_lq': str(clips / 'LQ.lmdb')})


def test_an_lmdb_that_a_part_of_a_mix_reads_as_a_folder_is_told_as_one(clips):
    register_all()
    (clips / 'GT.lmdb').mkdir()
    (clips / 'GT.lmdb' / 'data.mdb').touch()
    part = {'type': 'DegradedClipsDataset', 'dataroot_gt': str(clips / 'GT.lmdb')}
    made = {'name': 'mix', 'type': 'MixedDataset', 'phase': 'train', 'num_frame': 2, 'gt_size': 32, 'scale': 4}
    made |= {'degradation': {'kind': 'bi'}, 'parts': {'film': part}}
    with pytest.raises(UserError, match=r'datasets:train:parts:film: dataroot_gt is .*GT\.lmdb, an LMDB, but io_back'):
        check('train', made)


def vimeo_section(tmp_path, **changes):
    for frame in range(1, 8):
        write_image(tmp_path / 'LQ' / SEQUENCE / f'im{frame}.png', 8)
        write_image(tmp_path / 'GT' / SEQUENCE / f'im{frame}.png', 16)
    (tmp_path / 'list.txt').write_text(f'{SEQUENCE} 7 (16,16,3)\n')
    common = {'meta_info_file': str(tmp_path / 'list.txt'), 'random_reverse': False, 'flip_sequence': True}
    roots = {'dataroot_lq': str(tmp_path / 'LQ'), 'dataroot_gt': str(tmp_path / 'GT')}
    return section('train', tmp_path) | {'type': 'Vimeo90KRecurrentDataset', 'num_frame': 7} | common | roots | changes


def test_vimeo_sequences_are_looked_for(tmp_path):
    made = vimeo_section(tmp_path)
    check('train', made)
    (tmp_path / 'list.txt').write_text(f'{SEQUENCE} 7 (16,16,3)\n00001/0002 7 (16,16,3)\n')
    with pytest.raises(UserError, match=r'sequence 00001/0002 is missing in .*LQ'):
        check('train', made)


@pytest.mark.parametrize('kind', ['LQ', 'GT'])
def test_frames_of_the_first_vimeo_sequence_are_looked_for(tmp_path, kind):
    made = vimeo_section(tmp_path)
    (tmp_path / kind / SEQUENCE / 'im4.png').unlink()
    with pytest.raises(UserError, match=f'{kind}/{SEQUENCE}/im4.png does not exist'):
        check('train', made)


def test_the_vimeo_test_set_is_checked(tmp_path):
    made = vimeo_section(tmp_path, type='VideoTestVimeo90KDataset', phase='val', cache_data=False)
    check('val', made)
    with pytest.raises(UserError, match='cannot have cache_data'):
        check('val', made | {'cache_data': True})
    write_image(tmp_path / 'GT' / SEQUENCE / 'im4.png', 8)
    with pytest.raises(UserError, match='which is not 2 times'):
        check('val', made)


def test_pairs_of_images_are_checked(tmp_path):
    write_image(tmp_path / 'LQ' / 'x.png', 8)
    write_image(tmp_path / 'GT' / 'x.png', 16)
    made = section('train', tmp_path) | {'type': 'PairedImageDataset'}
    made |= {'dataroot_lq': str(tmp_path / 'LQ'), 'dataroot_gt': str(tmp_path / 'GT')}
    made.pop('meta_info_file')
    check('train', made)
    with pytest.raises(UserError, match='which is not 4 times'):
        check('train', made | {'scale': 4})
    write_image(tmp_path / 'GT' / 'y.png', 16)
    with pytest.raises(UserError, match='different number of images'):
        check('train', made)


def test_our_own_set_checks_itself_and_leaves_the_log_to_the_run(clips, monkeypatch, fresh_logger):
    from basicsr.utils import logger as basicsr_logger
    from basicsr.utils.registry import DATASET_REGISTRY

    from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset

    monkeypatch.setitem(DATASET_REGISTRY._obj_map, 'VideoFoldersDataset', VideoFoldersDataset)
    made = {'name': 'mine', 'type': 'VideoFoldersDataset', 'phase': 'val', 'scale': 2}
    made |= {'dataroot_lq': str(clips / 'test' / 'LQ'), 'dataroot_gt': str(clips / 'test' / 'GT')}
    handlers = list(logging.getLogger('basicsr').handlers)
    check('val', made)
    assert 'basicsr' not in basicsr_logger.initialized_logger
    assert logging.getLogger('basicsr').handlers == handlers
    with pytest.raises(UserError, match=r'datasets:val: .*is not 4 times'):
        check('val', made | {'scale': 4})


def test_a_clip_that_is_trained_and_validated_on_is_named(tmp_path, monkeypatch):
    from basicsr.utils.registry import DATASET_REGISTRY

    from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset

    monkeypatch.setitem(DATASET_REGISTRY._obj_map, 'VideoFoldersDataset', VideoFoldersDataset)
    for clip, shade in (('000', 1), ('001', 2), ('002', 3)):
        for kind, side in (('LQ', 8), ('GT', 16)):
            (tmp_path / kind / clip).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / kind / clip / '0.png'), np.full((side, side, 3), shade, np.uint8))
    for kind in ('LQ', 'GT'):
        shutil.copytree(tmp_path / kind / '001', tmp_path / 'test' / kind / '001')
        shutil.copytree(tmp_path / kind / '000', tmp_path / 'test' / kind / '002')
    common = {'type': 'VideoFoldersDataset', 'name': 'mine', 'scale': 2}
    roots = {'dataroot_lq': str(tmp_path / 'LQ'), 'dataroot_gt': str(tmp_path / 'GT')}
    train = common | roots | {'phase': 'train', 'num_frame': 1, 'gt_size': 16}
    val = common | {key: root.replace(str(tmp_path), f'{tmp_path}/test') for key, root in roots.items()}
    sets = {'datasets': {'train': train, 'val': val | {'phase': 'val'}}}
    expected = (
        'clip 001 is in datasets:train and in datasets:val, so the same would be trained and validated on; '
        'give the training set the meta_info_file that '
        f'basicsr data meta {tmp_path}/GT train.txt --leave-out 001 writes.'
    )
    with pytest.raises(UserError) as error:
        check_datasets(sets)
    assert str(error.value) == expected
    (tmp_path / 'list.txt').write_text('000\n002\n')
    train['meta_info_file'] = str(tmp_path / 'list.txt')
    check_datasets(sets)


def test_a_metric_that_cuts_away_whole_frames_is_refused(clips):
    made = {'datasets': {'val': section('val', clips)}, 'val': {'metrics': {'psnr': {'type': 'x', 'crop_border': 7}}}}
    check_datasets(made)
    made['val']['metrics']['psnr']['crop_border'] = 8
    with pytest.raises(UserError, match=r'psnr:crop_border is 8, which leaves nothing of frames of 16 x 16'):
        check_datasets(made)
