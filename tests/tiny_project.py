"""A network of a few weights, clips of a few pixels, and an option file for them: a BasicSR training in seconds."""

from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import yaml

SCALE = 2
SIDE = 8

NETWORK_SOURCE = """
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn


class TinyVideoNet(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width * 4, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(width, 3, 1))

    def forward(self, x):
        b, t, c, h, w = x.shape
        return self.body(x.flatten(0, 1)).view(b, t, 3, h * 2, w * 2)


if 'TinyVideoNet' not in ARCH_REGISTRY:
    ARCH_REGISTRY.register(TinyVideoNet)
"""

OPTIONS = {
    'name': 'tiny',
    'model_type': 'VideoRecurrentModel',
    'scale': SCALE,
    'num_gpu': 0,
    'manual_seed': 0,
    'datasets': {
        'train': {
            'name': 'REDS',
            'type': 'REDSRecurrentDataset',
            'dataroot_gt': 'data/train/GT',
            'dataroot_lq': 'data/train/LQ',
            'meta_info_file': 'data/train/meta_info.txt',
            'val_partition': 'REDS4',
            'test_mode': False,
            'io_backend': {'type': 'disk'},
            'num_frame': 2,
            'gt_size': SIDE * SCALE,
            'use_hflip': True,
            'use_rot': True,
            'num_worker_per_gpu': 0,
            'batch_size_per_gpu': 1,
        },
        'val': {
            'name': 'REDS4',
            'type': 'VideoRecurrentTestDataset',
            'dataroot_gt': 'data/test/GT',
            'dataroot_lq': 'data/test/LQ',
            'cache_data': True,
            'io_backend': {'type': 'disk'},
            'num_frame': -1,
        },
    },
    'network_g': {'type': 'TinyVideoNet', 'width': 4},
    'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None},
    'train': {
        'optim_g': {'type': 'Adam', 'lr': 2e-4, 'betas': [0.9, 0.99]},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [3], 'gamma': 0.5},
        'total_iter': 2,
        'pixel_opt': {'type': 'CharbonnierLoss', 'loss_weight': 1.0, 'reduction': 'mean'},
    },
    'val': {
        'val_freq': 100,
        'save_img': False,
        'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0, 'test_y_channel': False}},
    },
    'logger': {'print_freq': 1, 'save_checkpoint_freq': 1, 'use_tb_logger': False},
}


def test_options(weights: str) -> dict:
    """Options of a test of the same network on the validation clips."""
    options = deepcopy({key: OPTIONS[key] for key in ('name', 'model_type', 'scale', 'num_gpu', 'network_g')})
    options['datasets'] = {'test': deepcopy(OPTIONS['datasets']['val'])}
    options['path'] = {'pretrain_network_g': weights}
    options['val'] = {'save_img': True, 'metrics': deepcopy(OPTIONS['val']['metrics'])}
    return options


test_options.__test__ = False


def register_network() -> None:
    """Puts the network into BasicSR's registry of this process."""
    exec(compile(NETWORK_SOURCE, __file__, 'exec'), {'__name__': 'tiny_network'})


def write_data(root: Path) -> None:
    """Writes a training clip of 100 frames and two test clips below `root`/data."""
    write_clip(root / 'data' / 'train', '001', 100)
    (root / 'data' / 'train' / 'meta_info.txt').write_text('001 100 (16,16,3)\n')
    for clip in ('a', 'b'):
        write_clip(root / 'data' / 'test', clip, 3)


def write_clip(root: Path, clip: str, frames: int) -> None:
    """Writes a clip of noise, LQ and GT."""
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', SIDE), ('GT', SIDE * SCALE)):
        (root / kind / clip).mkdir(parents=True)
        image = noise.integers(0, 255, (side, side, 3), dtype=np.uint8)
        for frame in range(frames):
            cv2.imwrite(str(root / kind / clip / f'{frame:08d}.png'), image)


def write_options(path: Path, options: dict) -> Path:
    """Writes an option file."""
    path.write_text(yaml.safe_dump(options, sort_keys=False))
    return path
