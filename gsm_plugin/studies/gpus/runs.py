"""Trainings that are compared: the shipped recipe made short, in one process or in several, one per GPU."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from gsm_plugin.options.reading import read_options
from gsm_plugin.studies.small_training import new_project

NETWORKS: dict[str, dict[str, int]] = {
    'released': {},
    'small': {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 32, 'num_heads': 4},
    'tiny': {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2},
}


class RunFailed(Exception):
    """A training failed or took too long. The text says which, and why."""


@dataclass(frozen=True)
class Settings:
    """What all runs of a comparison share.

    Attributes:
        root: The repository, whose recipe is trained.
        processes: Of the runs with several.
        on_gpus: Whether each has a GPU; else they talk over gloo.
        batch: Clips of a step in each process.
        frames: Frames of a clip.
        patch: Side of the LQ crop.
        workers: That read data, for each process.
        cuda_graphs: The network's key.
        timeout: Seconds that all runs may take.
        deadline: When they have to be done, of `time.monotonic`.
    """

    root: Path
    processes: int
    on_gpus: bool
    batch: int
    frames: int
    patch: int
    workers: int
    cuda_graphs: bool
    timeout: float
    deadline: float


@dataclass(frozen=True)
class Run:
    """A training to make.

    Attributes:
        name: Its folder.
        processes: Number of processes.
        batch: Clips of a step in each of them.
        iterations: Iterations.
        network: A key of `NETWORKS`.
        precision: Of the option `train: precision`.
    """

    name: str
    processes: int
    batch: int
    iterations: int
    network: str
    precision: str


def train(root: Path, run: Run, settings: Settings) -> list[dict]:
    """Makes a training and gives its records of iterations.

    Raises:
        RunFailed: It failed, or took longer than it may.
    """
    project = new_project(root, run.name)
    options = options_of(run, settings)
    (project / 'options.yml').write_text(yaml.safe_dump(options, sort_keys=False), encoding='utf-8')
    launcher = ['--launcher', 'pytorch']
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={run.processes}']
    if run.processes == 1:
        command, launcher = [sys.executable], []
    started = time.monotonic()
    call([*command, '-m', 'gsm_plugin', 'train', '-opt', 'options.yml', *launcher], project, run, settings)
    print(f'{run.name}: {run.iterations} iterations in {time.monotonic() - started:.0f} s, with start', flush=True)
    lines = (project / 'experiments/run/train.jsonl').read_text(encoding='utf-8').splitlines()
    records = [record for record in map(json.loads, lines) if record['kind'] == 'train']
    if len(records) != run.iterations:
        raise RunFailed(f'{run.name} logged {len(records)} iterations instead of {run.iterations}.')
    if any(record['l_pix'] is None or not math.isfinite(record['l_pix']) for record in records):
        raise RunFailed(f'{run.name} has losses that are not finite.')
    return records


def options_of(run: Run, settings: Settings) -> dict:
    """The shipped recipe with everything that makes it short."""
    options = json.loads(json.dumps(read_options(str(settings.root / 'options/train_gsm_reds.yml'))))
    train_set, logger = options['datasets']['train'], options['logger']
    options |= {'name': 'run', 'num_gpu': int(settings.on_gpus), 'datasets': {'train': train_set}}
    del options['val']
    train_set |= {
        'dataroot_gt': 'data/GT.lmdb',
        'dataroot_lq': 'data/LQ.lmdb',
        'meta_info_file': 'data/meta_info.txt',
        'io_backend': {'type': 'lmdb'},
        'num_frame': settings.frames,
        'gt_size': 4 * settings.patch,
        'batch_size_per_gpu': run.batch,
        'num_worker_per_gpu': settings.workers,
        # One epoch: between two of them the workers start again.
        'dataset_enlarge_ratio': math.ceil(run.iterations * run.batch * run.processes / 100),
    }
    options['network_g'] |= {**NETWORKS[run.network], 'spynet_path': None, 'cuda_graphs': settings.cuda_graphs}
    # The flow network joins on the way, so that the curves show it.
    fix_flow = run.iterations // 3
    options['train'] |= {'total_iter': run.iterations, 'precision': run.precision, 'fix_flow': fix_flow}
    options['train']['scheduler']['periods'] = [run.iterations]
    logger |= {'print_freq': 1, 'save_checkpoint_freq': 10**6, 'save_best': None, 'use_tb_logger': False}
    logger['sample_pictures'] = False
    return options


def call(command: list[str], project: Path, run: Run, settings: Settings) -> None:
    """Runs a command to its end, or ends it and everything that it started.

    Raises:
        RunFailed: It failed, or took longer than it may.
    """
    paths = [str(settings.root), *filter(None, [os.environ.get('PYTHONPATH')])]
    # float32 means float32 here, not TF32; and threads of several processes do not fight for the cores.
    threads = str(max(1, (os.cpu_count() or 1) // settings.processes))
    environment = {'OMP_NUM_THREADS': threads, **os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    if run.precision == 'fp32':
        environment['NVIDIA_TF32_OVERRIDE'] = '0'
    if not settings.on_gpus:
        environment['CUDA_VISIBLE_DEVICES'] = ''
    output = project / 'output.txt'
    with open(output, 'w', encoding='utf-8') as file:
        process = subprocess.Popen(
            command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            status = process.wait(max(0, settings.deadline - time.monotonic()))
        except BaseException as error:
            kill_all(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RunFailed(
                    f'{run.name} was ended, because all runs together may take {settings.timeout:g} s; give more by '
                    f'--timeout, or see where it stood:\n{end_of(output)}'
                ) from None
            raise
    if status != 0:
        raise RunFailed(f'{run.name} ended with status {status}:\n{end_of(output)}')


def kill_all(process: subprocess.Popen) -> None:
    """Ends a process and its descendants at once; torchrun puts its own into sessions of their own."""
    family = [process.pid]
    for pid in family:
        with contextlib.suppress(OSError):
            for task in Path(f'/proc/{pid}/task').iterdir():
                family += map(int, (task / 'children').read_text(encoding='utf-8').split())
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def end_of(output: Path) -> str:
    """The last lines that a run has written."""
    return output.read_text(encoding='utf-8', errors='replace')[-4000:]
