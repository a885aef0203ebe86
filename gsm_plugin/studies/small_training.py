"""A small training for studies: as `basicsr train --auto_resume`, with an LMDB, two worker processes and validation."""

import argparse
import contextlib
import io
import os
import threading
from pathlib import Path

import cv2
import numpy as np
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn
from tqdm import tqdm

from gsm_plugin.pipelines.arguments import add_run_arguments
from gsm_plugin.pipelines.running import run_pipeline
from gsm_plugin.registration import register_all

TOTAL = 36
OPTIONS = f"""
name: run
model_type: GSMModel
scale: 4
num_gpu: 0
manual_seed: 0
datasets:
  train: {{name: noise, type: REDSRecurrentDataset, dataroot_gt: data/GT.lmdb, dataroot_lq: data/LQ.lmdb,
    meta_info_file: data/meta_info.txt, val_partition: REDS4, test_mode: false, io_backend: {{type: lmdb}},
    num_frame: 2, gt_size: 32, use_hflip: true, use_rot: true, num_worker_per_gpu: 2, batch_size_per_gpu: 1,
    dataset_enlarge_ratio: 0.1}}
  val: {{name: noise, type: VideoFoldersDataset, dataroot_gt: data/val/GT, dataroot_lq: data/val/LQ}}
network_g: {{type: SmallNet}}
path: {{}}
train:
  ema_decay: 0.9
  accumulate_iter: 2
  fix_flow: 9
  flow_lr_mul: 0.5
  optim_g: {{type: Adam, lr: 1e-3, betas: [0.9, 0.99]}}
  scheduler: {{type: CosineAnnealingRestartLR, periods: [{TOTAL}], restart_weights: [1], eta_min: 1e-7}}
  total_iter: {TOTAL}
  warmup_iter: 6
  pixel_opt: {{type: CharbonnierLoss, loss_weight: 1.0, reduction: mean}}
val: {{val_freq: 10, save_img: false, metrics: {{psnr: {{type: calculate_psnr, crop_border: 0}}}}}}
logger: {{print_freq: 1, save_checkpoint_freq: 3, keep_last: 3, keep_every: 12, save_best: psnr, use_tb_logger: true}}
"""


class SmallNet(nn.Module):
    """A network of a few weights that has what can go wrong: a flow network, and randomness of its own."""

    def __init__(self):
        super().__init__()
        self.spynet = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4))

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, c, h, w) to (b, t, c, 4 * h, 4 * w)."""
        return self.body(self.spynet(x.flatten(0, 1)).relu()).unflatten(0, x.shape[:2])


# Its thread could hold a lock at the moment in which a process is forked, and that would wait for it for ever.
tqdm.monitor_interval = 0
register_all()
ARCH_REGISTRY.register(SmallNet)


def new_project(root: Path, name: str) -> Path:
    """A folder to train in."""
    project = root / name
    project.mkdir()
    (project / 'data').symlink_to(root / 'data')
    (project / 'options.yml').write_text(OPTIONS, encoding='utf-8')
    return project


def make_data(data: Path, lq_side: int = 12) -> None:
    """A training clip of 100 frames of noise as LMDB, and two short clips for validation."""
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', lq_side), ('GT', 4 * lq_side)):
        for folder, clip, frames in (('train', '001', 100), ('val', 'a', 2), ('val', 'b', 3)):
            path = data / folder / kind / clip
            path.mkdir(parents=True)
            for frame in range(frames):
                cv2.imwrite(str(path / f'{frame:08d}.png'), noise.integers(0, 256, (side, side, 3), np.uint8))
        source, keys = data / 'train' / kind, [f'001/{frame:08d}' for frame in range(100)]
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO()):
            make_lmdb_from_imgs(str(source), str(data / f'{kind}.lmdb'), [f'{key}.png' for key in keys], keys)
    (data / 'meta_info.txt').write_text(f'001 100 ({4 * lq_side},{4 * lq_side},3)\n', encoding='utf-8')


def train(project: Path, *forced: str) -> None:
    """One run, in a process of its own; `forced` are options as --force_yml takes them."""
    os.chdir(project)
    output = os.open('output.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # tqdm's own lock is one for all processes of a parent, and one that is killed may take it along.
    tqdm.set_lock(threading.RLock())
    flags = ['--force_yml', *forced] if forced else []
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    run_pipeline(parser.parse_args(['-opt', 'options.yml', '--auto_resume', *flags]), os.getcwd(), is_train=True)
