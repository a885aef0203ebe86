"""Kills a small training at random moments, lets it go on, and compares how it ends with one that nobody killed.

    python scripts/kill_and_resume.py --kills 100 --kills-in-a-run 1

The training is `basicsr train --auto_resume` of a small network with dropout, with an LMDB, two worker processes, an
average of the weights, accumulated gradients, a flow warm-up and validation. Every kill is SIGKILL.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import gsm_plugin  # makes basicsr importable, so it comes first

# isort: split
import cv2
import numpy as np
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from gsm_plugin.cli.main import main as basicsr
from gsm_plugin.engine.checkpoints.sealed_file import DamagedFile, read_sealed

TOTAL = 36
TIMES = {'eta_s', 'it_per_s', 'iter_time_s', 'data_time_s', 'memory_gib'}

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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='how often to kill (default: 100)')
    parser.add_argument('--kills-in-a-run', type=int, default=1, help='how often in one training (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    args = parser.parse_args()
    gsm_plugin.register()
    ARCH_REGISTRY.register(SmallNet)
    # Processes forked from one that has imported everything start in a moment, and are killed like any other.
    context = multiprocessing.get_context('fork')
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root / 'data')
        reference = new_project(root, 'never_killed')
        took = run_to_end(context, reference)
        print(f'A run that nobody kills takes {took:.1f} s.', flush=True)
        return kill_all(context, root, reference, took, args)


def kill_all(context, root: Path, reference: Path, took: float, args: argparse.Namespace) -> int:
    """Kills, resumes and compares until there were enough kills; returns the exit status."""
    moments = random.Random(args.seed)
    kills = endings = identical = lost = unfinished = 0
    while kills < args.kills:
        project = new_project(root, f'killed_{endings}')
        for _ in range(args.kills_in_a_run):
            before, was_killed = kill_after(context, project, moments.uniform(0.05, took))
            kills += was_killed
            lost += was_killed and newest_whole(project) < before
            unfinished += len(list(project.glob('experiments/run/*/.*.tmp')))
        # Other work on the machine makes runs slower or faster; the moments are to fall into them.
        took = run_to_end(context, project) / 2 + took / 2
        differing = list(differences(ending_of(project), ending_of(reference)))
        endings, identical = endings + 1, identical + (not differing)
        print(f'{kills} kills, {identical} of {endings} endings identical, {lost} checkpoints lost', flush=True)
        print(*differing, sep='\n', end='\n' if differing else '', flush=True)
        shutil.rmtree(project)
    print(f'{unfinished} of the kills came while a file was being written.')
    return 0 if identical == endings and not lost else 1


def kill_after(context, project: Path, seconds: float) -> tuple[int, bool]:
    """Starts a run and kills it; gives the newest checkpoint that was there before, and whether it was still alive."""
    process = context.Process(target=train, args=(project,))
    process.start()
    process.join(seconds)
    before = max(iterations(project), default=0)
    is_alive = process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return before, is_alive


def run_to_end(context, project: Path) -> float:
    """Runs a training to its end and gives the seconds that it took."""
    started = time.monotonic()
    process = context.Process(target=train, args=(project,))
    process.start()
    process.join()
    if process.exitcode != 0:
        sys.exit(f'The run ended with status {process.exitcode}:\n{(project / "output.txt").read_text()[-4000:]}')
    return time.monotonic() - started


def train(project: Path) -> None:
    """One run, in a process of its own."""
    os.chdir(project)
    output = os.open('output.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    basicsr(['train', '-opt', 'options.yml', '--auto_resume'])


class SmallNet(nn.Module):
    """A network of a few weights that has what can go wrong: a flow network, and randomness of its own."""

    def __init__(self):
        super().__init__()
        self.spynet = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4))

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, c, h, w) to (b, t, c, 4 * h, 4 * w)."""
        return self.body(self.spynet(x.flatten(0, 1)).relu()).unflatten(0, x.shape[:2])


def iterations(project: Path) -> list[int]:
    """Numbers of the training states that are there."""
    return [int(path.stem) for path in project.glob('experiments/run/training_states/*.state')]


def newest_whole(project: Path) -> int:
    """The newest training state that can be read."""
    for iteration in sorted(iterations(project), reverse=True):
        with contextlib.suppress(DamagedFile):
            return read_sealed(project / f'experiments/run/training_states/{iteration}.state')['iter']
    return 0


def ending_of(project: Path) -> dict[str, object]:
    """Everything that a training leaves, but for times: logged numbers, networks and states, to the bit."""
    home = project / 'experiments/run'
    records = [json.loads(line) for line in (home / 'train.jsonl').read_text().splitlines()]
    records = [
        sorted((key, str(value)) for key, value in record.items() if key not in TIMES)
        for record in records
        if record['kind'] in ('train', 'validation')
    ]
    files = sorted([*(home / 'models').iterdir(), *(home / 'training_states').iterdir()])
    return {'train.jsonl': records} | {path.name: plain(read_sealed(path)) for path in files}


def differences(actual: dict[str, object], expected: dict[str, object]) -> Iterator[str]:
    """Names of what is not the same."""
    for name in sorted(actual.keys() | expected.keys()):
        if name not in actual or name not in expected:
            yield f'{name} is {"missing" if name in expected else "too much"}'
        elif actual[name] != expected[name]:
            yield f'{name} differs'


def plain(value: object) -> object:
    """Tensors as bytes, so that contents can be compared."""
    if hasattr(value, 'numpy'):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def new_project(root: Path, name: str) -> Path:
    """A folder to train in."""
    project = root / name
    project.mkdir()
    (project / 'data').symlink_to(root / 'data')
    (project / 'options.yml').write_text(OPTIONS)
    return project


def make_data(data: Path) -> None:
    """A training clip of 100 frames of noise as LMDB, and two short clips for validation."""
    noise = np.random.default_rng(0)
    for kind, side in (('LQ', 12), ('GT', 48)):
        for folder, clip, frames in (('train', '001', 100), ('val', 'a', 2), ('val', 'b', 3)):
            path = data / folder / kind / clip
            path.mkdir(parents=True)
            for frame in range(frames):
                cv2.imwrite(str(path / f'{frame:08d}.png'), noise.integers(0, 256, (side, side, 3), np.uint8))
        source, keys = data / 'train' / kind, [f'001/{frame:08d}' for frame in range(100)]
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(io.StringIO()):
            make_lmdb_from_imgs(str(source), str(data / f'{kind}.lmdb'), [f'{key}.png' for key in keys], keys)
    (data / 'meta_info.txt').write_text('001 100 (48,48,3)\n')


if __name__ == '__main__':
    sys.exit(main())
