"""Clips as folders of images or LMDBs, and options of the dataset that reads them."""

import zlib

import cv2
import numpy as np
from basicsr.utils.lmdb_util import LmdbMaker

SCALE = 2


def images_of(seed, size=(8, 12)):
    """An LQ image and the GT that repeats each of its pixels, BGR."""
    lq = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return {'LQ': lq, 'GT': lq.repeat(SCALE, 0).repeat(SCALE, 1)}


def write_clip(root, clip, names, size=(8, 12), kinds=('LQ', 'GT')):
    for i, name in enumerate(names):
        images = images_of(zlib.crc32(f'{clip}/{i}'.encode()), size)
        for kind in kinds:
            path = root / kind / clip / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), images[kind])


def write_lmdb(root, clips):
    for kind in ('LQ', 'GT'):
        maker = LmdbMaker(str(root / f'{kind}.lmdb'), map_size=2**24)
        for clip, count in clips.items():
            for i in range(count):
                image = images_of(i)[kind]
                maker.put(cv2.imencode('.png', image)[1].tobytes(), f'{clip}/{i:08d}', image.shape)
        maker.close()


def options(root, phase='train', suffix='', **changes):
    opt = {
        'name': 'set',
        'type': 'VideoFoldersDataset',
        'phase': phase,
        'scale': SCALE,
        'dataroot_lq': str(root / f'LQ{suffix}'),
        'dataroot_gt': str(root / f'GT{suffix}'),
        'io_backend': {'type': 'lmdb' if suffix else 'disk'},
    }
    if phase == 'train':
        opt.update(num_frame=3, gt_size=8)
    return {**opt, **changes}


def frame_names(count):
    return [f'{i:08d}.png' for i in range(count)]
