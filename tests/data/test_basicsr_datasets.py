"""BasicSR's own training sets, which the option files name, deliver what is in the files on the current stack."""

import random

import cv2
import numpy as np
import pytest
import torch
from basicsr.data.reds_dataset import REDSRecurrentDataset
from basicsr.data.vimeo90k_dataset import Vimeo90KRecurrentDataset
from basicsr.utils.lmdb_util import LmdbMaker

SCALE, SIDE = 2, 8


def write_frames(root, frames, backend):
    """Random LQ frames and GT that repeats their pixels: keys like `001/00000000`; returns LQ by key, (3, h, w) RGB."""
    rng = np.random.default_rng(0)
    lqs = {key: rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for key in frames}
    for kind, factor in (('LQ', 1), ('GT', SCALE)):
        images = {key: lq.repeat(factor, 0).repeat(factor, 1) for key, lq in lqs.items()}
        if backend == 'lmdb':
            maker = LmdbMaker(str(root / f'{kind}.lmdb'), map_size=2**24)
            for key, image in images.items():
                maker.put(cv2.imencode('.png', image)[1].tobytes(), key, image.shape)
            maker.close()
        else:
            for key, image in images.items():
                path = root / kind / f'{key}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), image)
    return {key: torch.from_numpy(lq[..., ::-1].copy()).permute(2, 0, 1) for key, lq in lqs.items()}


def options(root, backend, meta_info, **changes):
    (root / 'meta.txt').write_text(meta_info)
    suffix = '.lmdb' if backend == 'lmdb' else ''
    return {
        'dataroot_lq': str(root / f'LQ{suffix}'),
        'dataroot_gt': str(root / f'GT{suffix}'),
        'meta_info_file': str(root / 'meta.txt'),
        'io_backend': {'type': backend},
        'scale': SCALE,
        'gt_size': SCALE * SIDE,
        'random_reverse': False,
        'use_hflip': False,
        'use_rot': False,
        **changes,
    }


def reds_options(root, backend, **changes):
    opt = options(root, backend, '001 100 (16,16,3)\n011 100 (16,16,3)\n', num_frame=5, interval_list=[1])
    return {**opt, 'val_partition': 'REDS4', 'test_mode': False, **changes}


def vimeo_options(root, backend, **changes):
    opt = options(root, backend, '00001/0266 7 (16,16,3)\n00002/0001 7 (16,16,3)\n', num_frame=7)
    return {**opt, 'flip_sequence': False, **changes}


def reds_frames(clip):
    return [f'{clip}/{i:08d}' for i in range(100)]


def vimeo_frames(sequence):
    return [f'{sequence}/im{i}' for i in range(1, 8)]


def assert_holds(item, lqs):
    expected = torch.stack(list(lqs)) / 255
    torch.testing.assert_close(item['lq'], expected, atol=1e-6, rtol=0)
    enlarged = expected.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3)
    torch.testing.assert_close(item['gt'], enlarged, atol=1e-6, rtol=0)


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_reds_items_are_the_frames_of_the_files(tmp_path, backend):
    lqs = write_frames(tmp_path, reds_frames('001'), backend)
    dataset = REDSRecurrentDataset(reds_options(tmp_path, backend))
    assert len(dataset) == 100
    assert_holds(dataset[40], [lqs[key] for key in reds_frames('001')[40:45]])
    assert dataset[40]['key'] == '001/00000040'


def test_reds_leaves_the_clips_of_reds4_to_the_test(tmp_path):
    training = REDSRecurrentDataset(reds_options(tmp_path, 'disk'))
    held_out = REDSRecurrentDataset(reds_options(tmp_path, 'disk', test_mode=True))
    assert {key.split('/')[0] for key in training.keys} == {'001'}
    assert {key.split('/')[0] for key in held_out.keys} == {'011'}


def test_reds_takes_every_second_frame_and_reverses(tmp_path):
    lqs = write_frames(tmp_path, reds_frames('001'), 'disk')
    dataset = REDSRecurrentDataset(reds_options(tmp_path, 'disk', interval_list=[2], random_reverse=True))
    forward = [lqs[key] for key in reds_frames('001')[40:50:2]]
    seen = set()
    for seed in range(16):
        random.seed(seed)
        item = dataset[40]
        reversed_in_time = not torch.equal((item['lq'][0] * 255).round().byte(), forward[0])
        assert_holds(item, forward[::-1] if reversed_in_time else forward)
        seen.add(reversed_in_time)
    assert seen == {True, False}


@pytest.mark.parametrize('backend', ['disk', 'lmdb'])
def test_vimeo_items_are_the_seven_frames_of_the_files(tmp_path, backend):
    frames = [*vimeo_frames('00001/0266'), *vimeo_frames('00002/0001')]
    lqs = write_frames(tmp_path, frames, backend)
    dataset = Vimeo90KRecurrentDataset(vimeo_options(tmp_path, backend))
    assert len(dataset) == 2
    for i, sequence in enumerate(('00001/0266', '00002/0001')):
        assert_holds(dataset[i], [lqs[key] for key in vimeo_frames(sequence)])


def test_vimeo_doubles_a_sequence_by_its_mirror_in_time(tmp_path):
    lqs = write_frames(tmp_path, vimeo_frames('00001/0266'), 'disk')
    dataset = Vimeo90KRecurrentDataset(vimeo_options(tmp_path, 'disk', flip_sequence=True))
    forward = [lqs[key] for key in vimeo_frames('00001/0266')]
    assert_holds(dataset[0], [*forward, *forward[::-1]])


@pytest.mark.parametrize('kind', ['reds', 'vimeo'])
def test_augmentation_and_workers_keep_lq_and_gt_aligned(tmp_path, kind):
    """Through the loader that training uses, from an LMDB, with random crops, flips and rotations."""
    changes = {'use_hflip': True, 'use_rot': True, 'random_reverse': True, 'gt_size': 8}
    if kind == 'reds':
        write_frames(tmp_path, reds_frames('001'), 'lmdb')
        dataset = REDSRecurrentDataset(reds_options(tmp_path, 'lmdb', **changes))
    else:
        write_frames(tmp_path, [*vimeo_frames('00001/0266'), *vimeo_frames('00002/0001')], 'lmdb')
        dataset = Vimeo90KRecurrentDataset(vimeo_options(tmp_path, 'lmdb', **changes))
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context='fork')
    count = 0
    for batch in loader:
        assert batch['lq'].shape[-2:] == (4, 4)
        assert torch.equal(batch['gt'][..., ::SCALE, ::SCALE], batch['lq'])
        count += len(batch['lq'])
    assert count == len(dataset)
