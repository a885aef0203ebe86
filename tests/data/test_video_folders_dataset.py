import multiprocessing
import os
import pickle
import random

import cv2
import lmdb
import pytest
import torch
from basicsr.data.reds_dataset import REDSRecurrentDataset

from gsm_plugin.data import frame_sources
from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset
from gsm_plugin.options.declared.sections import keys_of
from tests.data.video_folders import SCALE, frame_names, images_of, options, write_clip, write_lmdb


def lies_in(crop, image):
    """Whether the crop is somewhere in the image."""
    windows = image.unfold(1, crop.shape[1], 1).unfold(2, crop.shape[2], 1)
    return bool(((windows - crop[:, None, None]).abs() < 1e-6).all(-1).all(-1).all(0).any())


def to_tensor(bgr):
    return torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1).float() / 255


def test_clip_item_holds_all_frames_in_natural_order_with_their_names(tmp_path):
    write_clip(tmp_path, 'b', ['frame10.png', 'frame2.png', 'frame1.png'])
    write_clip(tmp_path, 'a', ['x.png'])
    dataset = VideoFoldersDataset(options(tmp_path, 'val'))
    assert dataset.folders == ['a', 'b']
    assert len(dataset) == 2
    assert dataset.data_info == {'folder': ['a', 'b', 'b', 'b']}
    item = dataset[1]
    assert item['folder'] == 'b'
    assert item['frame_names'] == ['frame1', 'frame2', 'frame10']
    expected = [cv2.imread(str(tmp_path / 'LQ' / 'b' / f'{name}.png')) for name in item['frame_names']]
    torch.testing.assert_close(item['lq'], torch.stack([to_tensor(image) for image in expected]), atol=1e-6, rtol=0)


def test_gt_of_a_frame_is_found_by_name_with_another_extension(tmp_path):
    write_clip(tmp_path, 'a', ['f1.png', 'f2.png'], kinds=['LQ'])
    write_clip(tmp_path, 'a', ['f1.bmp', 'f2.bmp'], kinds=['GT'])
    dataset = VideoFoldersDataset(options(tmp_path, 'test'))
    expected = to_tensor(cv2.imread(str(tmp_path / 'GT' / 'a' / 'f2.bmp')))
    torch.testing.assert_close(dataset.read_gt(0, 1), expected, atol=1e-6, rtol=0)


def test_a_set_without_ground_truth_can_be_tested(tmp_path):
    write_clip(tmp_path, 'a', frame_names(2))
    dataset = VideoFoldersDataset(options(tmp_path, 'test', dataroot_gt=None))
    assert not dataset.has_gt
    assert dataset[0]['lq'].shape == (2, 3, 8, 12)
    with pytest.raises(ValueError, match='no ground truth; set dataroot_gt'):
        dataset.read_gt(0, 0)


def test_images_directly_in_the_root_are_one_clip(tmp_path):
    write_clip(tmp_path, '.', frame_names(2))
    dataset = VideoFoldersDataset(options(tmp_path, 'val'))
    assert dataset.folders == ['LQ']
    assert dataset[0]['frame_names'] == ['00000000', '00000001']
    assert dataset.read_gt(0, 1).shape == (3, 16, 24)


def test_a_clip_in_an_lmdb_can_be_validated_like_one_of_folders(tmp_path):
    write_lmdb(tmp_path, {'b': 3})
    dataset = VideoFoldersDataset(options(tmp_path, 'val', '.lmdb'))
    item = dataset[0]
    expected = torch.stack([to_tensor(images_of(i)['LQ']) for i in range(3)])
    torch.testing.assert_close(item['lq'], expected, atol=1e-6, rtol=0)
    assert item['frame_names'] == ['00000000', '00000001', '00000002']
    torch.testing.assert_close(dataset.read_gt(0, 2), to_tensor(images_of(2)['GT']), atol=1e-6, rtol=0)


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    write_clip(tmp_path, 'a', frame_names(2))
    for name in ('._00000000.png', 'Thumbs.db', 'notes.txt'):
        (tmp_path / 'LQ' / 'a' / name).write_bytes(b'x')
    (tmp_path / 'LQ' / '.cache').mkdir()
    assert VideoFoldersDataset(options(tmp_path, 'val'))[0]['lq'].shape[0] == 2


def test_default_loader_of_basicsr_takes_a_clip(tmp_path):
    from basicsr.data import build_dataloader

    write_clip(tmp_path, 'a', frame_names(2))
    opt = options(tmp_path, 'val')
    batch = next(iter(build_dataloader(VideoFoldersDataset(opt), opt)))
    assert batch['lq'].shape == (1, 2, 3, 8, 12)
    assert batch['folder'] == ['a']
    assert batch['frame_names'] == [('00000000',), ('00000001',)]


@pytest.mark.parametrize('backend', ['', '.lmdb'])
def test_clips_of_different_lengths_give_every_frame_as_a_start(tmp_path, backend):
    lengths = {'a': 3, 'b': 7, 'c': 4}
    if backend:
        write_lmdb(tmp_path, lengths)
    else:
        for clip, length in lengths.items():
            write_clip(tmp_path, clip, frame_names(length))
    dataset = VideoFoldersDataset(options(tmp_path, suffix=backend))
    assert len(dataset) == 14
    keys = [dataset[i]['key'] for i in range(14)]
    assert keys[3:8] == [f'b/{i:08d}' for i in range(5)]
    assert keys[:3] == ['a/00000000'] * 3
    assert {key.split('/')[0] for key in keys[10:]} == {'c'}
    assert dataset[0]['lq'].shape == (3, 3, 4, 4)
    assert dataset[0]['gt'].shape == (3, 3, 8, 8)


@pytest.mark.parametrize('interval_list', [[1], [1, 2, 3]])
def test_items_equal_those_of_basicsr_on_clips_of_100_frames(tmp_path, interval_list):
    write_clip(tmp_path, '001', frame_names(100))
    (tmp_path / 'meta.txt').write_text('001 100 (16,24,3)\n')
    augmentations = {'interval_list': interval_list, 'random_reverse': True, 'use_hflip': True, 'use_rot': True}
    opt = options(tmp_path, meta_info_file=str(tmp_path / 'meta.txt'), **augmentations)
    dataset = VideoFoldersDataset(opt)
    reference_opt = {**opt, 'io_backend': {'type': 'disk'}, 'val_partition': 'REDS4', 'test_mode': False}
    reference = REDSRecurrentDataset(reference_opt)
    # Above 90 BasicSR draws another start, from a range that leaves out the last frames when the interval exceeds 1.
    for index in (0, 17, 50, 90):
        random.seed(index)
        expected = reference[index]
        random.seed(index)
        actual = dataset[index]
        assert torch.equal(actual['lq'], expected['lq'])
        assert torch.equal(actual['gt'], expected['gt'])


def test_augmented_gt_stays_aligned_with_lq(tmp_path):
    write_clip(tmp_path, 'a', frame_names(6), size=(8, 8))
    plain = VideoFoldersDataset(options(tmp_path, gt_size=16, num_frame=2))
    full = VideoFoldersDataset(
        options(tmp_path, gt_size=16, num_frame=2, use_hflip=True, use_rot=True, random_reverse=True)
    )
    variants = set()
    for seed in range(64):
        random.seed(seed)
        item = full[0]
        assert torch.equal(item['gt'][..., ::SCALE, ::SCALE], item['lq'])
        variants.add(item['lq'].numpy().tobytes())
    assert len(variants) == 16
    assert plain[0]['lq'].numpy().tobytes() in variants


def test_intervals_take_every_nth_frame(tmp_path):
    write_clip(tmp_path, 'a', frame_names(5), size=(8, 8))
    item = VideoFoldersDataset(options(tmp_path, gt_size=16, interval_list=[2]))[4]
    expected = [to_tensor(cv2.imread(str(tmp_path / 'LQ' / 'a' / f'{i:08d}.png'))) for i in (0, 2, 4)]
    torch.testing.assert_close(item['lq'], torch.stack(expected), atol=1e-6, rtol=0)
    assert item['key'] == 'a/00000000'


def test_a_single_training_frame_is_allowed(tmp_path):
    write_clip(tmp_path, 'a', frame_names(1))
    item = VideoFoldersDataset(options(tmp_path, num_frame=1))[0]
    assert item['lq'].shape == (1, 3, 4, 4)
    assert item['gt'].shape == (1, 3, 8, 8)


def test_meta_info_restricts_to_its_folders_even_nested_ones(tmp_path):
    for clip in ('001/0001', '001/0002', 'other'):
        write_clip(tmp_path, clip, frame_names(3))
    (tmp_path / 'meta.txt').write_text('001/0002 3 (16,24,3)\nother\n')
    dataset = VideoFoldersDataset(options(tmp_path, meta_info_file=str(tmp_path / 'meta.txt')))
    assert dataset.folders == ['001/0002', 'other']


def test_lmdb_is_read_in_workers_and_by_several_sets_of_one_process(tmp_path):
    write_lmdb(tmp_path, {'a': 4})
    first, second = (VideoFoldersDataset(options(tmp_path, suffix='.lmdb', num_frame=1)) for _ in range(2))
    images = [to_tensor(images_of(i)['LQ']) for i in range(4)]
    assert lies_in(first[0]['lq'][0], images[0])
    assert lies_in(second[1]['lq'][0], images[1])
    assert lies_in(pickle.loads(pickle.dumps(first))[2]['lq'][0], images[2])
    loader = torch.utils.data.DataLoader(first, batch_size=2, num_workers=2, multiprocessing_context='fork')
    items = torch.cat([batch['lq'][:, 0] for batch in loader])
    assert [lies_in(item, image) for item, image in zip(items, images, strict=True)] == [True] * 4


def processes_that_own(dataset, root):
    """After a read: the process that opened the environment, and this one."""
    assert dataset[0]['lq'].shape == (1, 3, 4, 4)
    return frame_sources._ENVIRONMENTS[str((root / 'LQ.lmdb').resolve())][0], os.getpid()


def test_a_forked_worker_opens_the_database_anew(tmp_path):
    write_lmdb(tmp_path, {'a': 2})
    dataset = VideoFoldersDataset(options(tmp_path, suffix='.lmdb', num_frame=1))
    parent, _ = processes_that_own(dataset, tmp_path)
    with multiprocessing.get_context('fork').Pool(1) as pool:
        owner, worker = pool.apply(processes_that_own, (dataset, tmp_path))
    assert owner == worker != parent
    assert processes_that_own(dataset, tmp_path) == (parent, parent)


def test_lmdb_is_not_opened_before_the_first_read(tmp_path):
    write_lmdb(tmp_path, {'a': 3})
    VideoFoldersDataset(options(tmp_path, suffix='.lmdb'))
    lmdb.open(str(tmp_path / 'LQ.lmdb'), readonly=True).close()


def test_construction_reads_headers_of_first_frames_only(tmp_path, monkeypatch):
    for clip in ('a', 'b'):
        write_clip(tmp_path, clip, frame_names(5))
    opened = []
    read_header = frame_sources.read_header
    monkeypatch.setattr(frame_sources, 'read_header', lambda path: opened.append(path.name) or read_header(path))
    monkeypatch.setattr(frame_sources, 'read_image', None)
    VideoFoldersDataset(options(tmp_path))
    assert set(opened) == {'00000000.png'}


def test_every_option_that_is_read_is_documented_and_no_other(tmp_path):
    class Recorder(dict):
        def __init__(self, *args):
            super().__init__(*args)
            self.read = set()

        def __getitem__(self, key):
            self.read.add(key)
            return super().__getitem__(key)

        def get(self, key, default=None):
            self.read.add(key)
            return super().get(key, default)

    write_clip(tmp_path, 'a', frame_names(3))
    opt = Recorder(options(tmp_path))
    VideoFoldersDataset(opt)[0]
    declared = {key.name for key in keys_of(VideoFoldersDataset.OPTIONS[()])}
    assert opt.read - {'name', 'phase', 'scale'} == declared
