"""Compares a training in several processes, one per GPU, with the same training in one process.

    python scripts/compare_gpus.py
    python scripts/compare_gpus.py --cuda_graphs --name compare_gpus_graphs

First the loss curve: N processes and one process with N times the batch see the same clips, so in float32 their losses
have to agree to 1e-3 at every iteration. Then the efficiency: frames per second of N processes over N times those of
one process with the same batch, from the clock between the later iterations, so logging and waiting for data count.

Every run is `torchrun ... -m gsm_plugin train -opt ... --launcher pytorch` or, for one process, the same without
launcher, with options/train_gsm_reds.yml made shorter, random weights and a clip of noise. Without a GPU, two processes
talk over gloo, at sizes that show only that it works. Prints Markdown tables and writes a JSON record to
scripts/benchmark/records/, after each part. Ends with status 1 where the curves differ or a run fails.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from small_training import make_data, new_project

from gsm_plugin.evaluation.provenance import provenance
from gsm_plugin.evaluation.tables import markdown_table
from gsm_plugin.options.reading import read_options

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / 'options/train_gsm_reds.yml'
NETWORKS = {
    'released': {},
    'small': {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 32, 'num_heads': 4},
    'tiny': {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 8, 'num_heads': 2},
}
# By whether there are GPUs; the crop of the efficiency is that of the recipe.
DEFAULTS = {
    True: {'network': 'released', 'curve_network': 'small', 'frames': 16, 'patch': 64, 'iterations': 30, 'steps': 16},
    False: {'network': 'tiny', 'curve_network': 'tiny', 'frames': 2, 'patch': 16, 'iterations': 10, 'steps': 8},
}
TOLERANCE = 1e-3


class RunFailed(Exception):
    """A training failed or took too long. The text says which, and why."""


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
        frames: Frames of a clip.
        patch: Side of the LQ crop.
    """

    name: str
    processes: int
    batch: int
    iterations: int
    network: str
    precision: str
    frames: int
    patch: int


def main() -> int:
    args = parse()
    record = {'processes': args.processes, 'backend': 'nccl' if args.on_gpus else 'gloo', **sizes_of(args)}
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder, 'data'), lq_side=args.patch + args.patch // 8)
        try:
            for part in args.parts:
                record[part] = PARTS[part](Path(folder), args)
                write(record, args)
        except RunFailed as error:
            print(f'compare_gpus: {error}', file=sys.stderr)
            return 1
    return 0 if record.get('curve', {}).get('agrees', True) else 1


def compare_curves(root: Path, args: argparse.Namespace) -> dict:
    """Trains in N processes, and in one with N times the batch, and compares the losses of all iterations."""
    rest = args.iterations, args.curve_network, 'fp32', args.frames, args.patch
    runs = Run('curve_one', 1, args.batch * args.processes, *rest), Run('curve_many', args.processes, args.batch, *rest)
    # Nothing is timed here, and on GPUs most of it is waiting for compilers.
    with ThreadPoolExecutor(2 if args.on_gpus else 1) as pool:
        records = list(pool.map(lambda run: train(root, run, args), runs))
    losses, norms = ([[one[key] for one in run] for run in records] for key in ('l_pix', 'grad_norm'))
    deviations, of_norms = relative_differences(losses), relative_differences(norms)
    worst = max(range(len(deviations)), key=deviations.__getitem__)
    shown = sorted({*range(0, len(deviations), max(1, len(deviations) // 6)), worst, len(deviations) - 1})
    rows = [[f'{i + 1}', f'{losses[0][i]:.6f}', f'{losses[1][i]:.6f}', f'{deviations[i]:.1e}'] for i in shown]
    print(markdown_table(['iteration', '1 process', f'{args.processes} processes', 'relative difference'], rows))
    agrees = deviations[worst] <= TOLERANCE
    print(
        f'{len(deviations)} iterations, largest difference {deviations[worst]:.1e} (iteration {worst + 1}): '
        f'the curves {"agree" if agrees else "DO NOT agree"} to {TOLERANCE:g}. Largest difference of the norms of '
        f'gradients: {max(of_norms):.1e}.\n',
        flush=True,
    )
    return {
        'agrees': agrees,
        'largest_relative_difference': deviations[worst],
        'largest_relative_difference_of_gradient_norms': max(of_norms),
        'losses_of_one_process': losses[0],
        'losses_of_all_processes': losses[1],
        'gradient_norms_of_one_process': norms[0],
        'gradient_norms_of_all_processes': norms[1],
    }


def relative_differences(curves: list[list[float]]) -> list[float]:
    """Of the second curve from the first, at each iteration."""
    return [abs(actual / expected - 1) for expected, actual in zip(*curves, strict=True)]


def measure_efficiency(root: Path, args: argparse.Namespace) -> dict:
    """Trains in one and in N processes with the same batch each, and compares the frames per second."""
    precision = 'bf16' if args.on_gpus else 'fp32'
    rest = args.batch, args.steps, args.network, precision, args.frames, args.patch
    speeds = []
    for processes in (1, args.processes):
        records = train(root, Run(f'speed_{processes}', processes, *rest), args)
        speeds.append(speed_of(records, processes * args.batch * args.frames) | {'processes': processes})
    efficiency = speeds[1]['frames_per_second'] / speeds[0]['frames_per_second'] / args.processes
    rows = [
        [
            f'{speed["processes"]}',
            f'{speed["step_s"] * 1e3:.1f}',
            f'{speed["fastest_s"] * 1e3:.1f}-{speed["slowest_s"] * 1e3:.1f}',
            f'{speed["data_s"] * 1e3:.1f}',
            f'{speed["frames_per_second"]:.2f}',
            '-' if speed['memory_gib'] is None else f'{speed["memory_gib"]:.2f}',
        ]
        for speed in speeds
    ]
    print(markdown_table(['processes', 'step, ms', 'range, ms', 'of it data, ms', 'frames/s', 'GiB of each'], rows))
    print(
        f'{args.network}{" with cuda_graphs" * args.cuda_graphs}, {precision}, {args.batch} clip(s) of '
        f'{args.frames}x{args.patch}x{args.patch} in each process, median of {speeds[0]["steps"]} steps: '
        f'scaling efficiency {efficiency:.1%}.\n',
        flush=True,
    )
    return {'precision': precision, 'efficiency': efficiency, 'runs': speeds}


PARTS = {'curve': compare_curves, 'efficiency': measure_efficiency}


def speed_of(records: list[dict], frames: int) -> dict:
    """Times of the second half of a run's steps, from its records; the first half compiles and warms up."""
    # The log has means since the beginning.
    clock = [record['iter'] / record['it_per_s'] for record in records]
    waited = [record['iter'] * record['data_time_s'] for record in records]
    later = range(max(1, len(records) // 2), len(records))
    steps = [clock[i] - clock[i - 1] for i in later]
    step = statistics.median(steps)
    return {
        'step_s': step,
        'fastest_s': min(steps),
        'slowest_s': max(steps),
        'data_s': statistics.median(waited[i] - waited[i - 1] for i in later),
        'steps': len(steps),
        'first_step_s': clock[0],
        'frames_per_second': frames / step,
        'memory_gib': records[-1]['memory_gib'],
    }


def train(root: Path, run: Run, args: argparse.Namespace) -> list[dict]:
    """Makes a training and gives its records of iterations.

    Raises:
        RunFailed: It failed, or took longer than it may.
    """
    project = new_project(root, run.name)
    options = options_of(run, args)
    (project / 'options.yml').write_text(yaml.safe_dump(options, sort_keys=False), encoding='utf-8')
    launcher = ['--launcher', 'pytorch']
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={run.processes}']
    if run.processes == 1:
        command, launcher = [sys.executable], []
    started = time.monotonic()
    call([*command, '-m', 'gsm_plugin', 'train', '-opt', 'options.yml', *launcher], project, run, args)
    print(f'{run.name}: {run.iterations} iterations in {time.monotonic() - started:.0f} s, with start', flush=True)
    lines = (project / 'experiments/run/train.jsonl').read_text(encoding='utf-8').splitlines()
    records = [record for record in map(json.loads, lines) if record['kind'] == 'train']
    if len(records) != run.iterations:
        raise RunFailed(f'{run.name} logged {len(records)} iterations instead of {run.iterations}.')
    if any(record['l_pix'] is None or not math.isfinite(record['l_pix']) for record in records):
        raise RunFailed(f'{run.name} has losses that are not finite.')
    return records


def options_of(run: Run, args: argparse.Namespace) -> dict:
    """The shipped recipe with everything that makes it short."""
    options = json.loads(json.dumps(read_options(str(RECIPE))))
    train_set, logger = options['datasets']['train'], options['logger']
    options |= {'name': 'run', 'num_gpu': int(args.on_gpus), 'datasets': {'train': train_set}}
    del options['val']
    train_set |= {
        'dataroot_gt': 'data/GT.lmdb',
        'dataroot_lq': 'data/LQ.lmdb',
        'meta_info_file': 'data/meta_info.txt',
        'io_backend': {'type': 'lmdb'},
        'num_frame': run.frames,
        'gt_size': 4 * run.patch,
        'batch_size_per_gpu': run.batch,
        'num_worker_per_gpu': args.workers,
        # One epoch: between two of them the workers start again.
        'dataset_enlarge_ratio': math.ceil(run.iterations * run.batch * run.processes / 100),
    }
    options['network_g'] |= {**NETWORKS[run.network], 'spynet_path': None, 'cuda_graphs': args.cuda_graphs}
    # The flow network joins on the way, so that the curves show it.
    fix_flow = run.iterations // 3
    options['train'] |= {'total_iter': run.iterations, 'precision': run.precision, 'fix_flow': fix_flow}
    options['train']['scheduler']['periods'] = [run.iterations]
    logger |= {'print_freq': 1, 'save_checkpoint_freq': 10**6, 'save_best': None, 'use_tb_logger': False}
    logger['sample_pictures'] = False
    return options


def call(command: list[str], project: Path, run: Run, args: argparse.Namespace) -> None:
    """Runs a command to its end, or ends it and everything that it started.

    Raises:
        RunFailed: It failed, or took longer than it may.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    # float32 means float32 here, not TF32; and threads of several processes do not fight for the cores.
    threads = str(max(1, (os.cpu_count() or 1) // args.processes))
    environment = {'OMP_NUM_THREADS': threads, **os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    if run.precision == 'fp32':
        environment['NVIDIA_TF32_OVERRIDE'] = '0'
    if not args.on_gpus:
        environment['CUDA_VISIBLE_DEVICES'] = ''
    output = project / 'output.txt'
    with open(output, 'w', encoding='utf-8') as file:
        process = subprocess.Popen(
            command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            status = process.wait(max(0, args.deadline - time.monotonic()))
        except BaseException as error:
            kill_all(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise RunFailed(
                    f'{run.name} was ended, because all runs together may take {args.timeout:g} s; give more by '
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


def sizes_of(args: argparse.Namespace) -> dict:
    """What the record tells of the sizes."""
    keys = 'batch', 'frames', 'patch', 'iterations', 'steps', 'network', 'curve_network', 'cuda_graphs'
    return {key: getattr(args, key) for key in keys}


def write(record: dict, args: argparse.Namespace) -> None:
    """Writes the record, which tells where it was made too."""
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f'{args.name}.json'
    path.write_text(json.dumps({**provenance(ROOT), **record}, indent=1) + '\n', encoding='utf-8')
    print(f'Record: {path}\n', flush=True)


def parse() -> argparse.Namespace:
    """The command line, with what depends on the machine filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--processes', type=int, help='N (default: the number of GPUs, or 2)')
    parser.add_argument('--cpu', action='store_true', help='use no GPU, even where there are some')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS), help='what to do (default: both)')
    parser.add_argument('--network', choices=NETWORKS, help='of the efficiency (default: released; on the CPU tiny)')
    parser.add_argument('--curve_network', choices=NETWORKS, help='of the curve (default: small; on the CPU tiny)')
    parser.add_argument('--cuda_graphs', action='store_true', help="the network's key cuda_graphs, in all runs")
    parser.add_argument('--batch', type=int, default=1, help='clips of a step in each of N processes (default: 1)')
    parser.add_argument('--frames', type=int, help='frames of a clip (default: 16; on the CPU 2)')
    parser.add_argument('--patch', type=int, help='side of the LQ crop (default: 64; on the CPU 16)')
    parser.add_argument('--iterations', type=int, help='of the curve (default: 30; on the CPU 10)')
    parser.add_argument('--steps', type=int, help='of the efficiency, at most 200 (default: 16; on the CPU 8)')
    parser.add_argument('--workers', type=int, help='that read data, for each process (default: 4; on the CPU 1)')
    parser.add_argument('--timeout', type=float, default=540, help='seconds that all runs may take (default: 540)')
    parser.add_argument('--name', default='compare_gpus', help='file name of the record')
    parser.add_argument('--out', type=Path, default=ROOT / 'scripts/benchmark/records', help='folder of the record')
    args = parser.parse_args()
    gpus = 0 if args.cpu else torch.cuda.device_count()
    args.deadline = time.monotonic() + args.timeout
    args.on_gpus = gpus > 0
    args.processes = args.processes or gpus or 2
    for key, value in (DEFAULTS[args.on_gpus] | {'workers': 4 if args.on_gpus else 1}).items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.processes < 2 or (args.on_gpus and args.processes > gpus):
        parser.error(f'{args.processes} processes on {gpus} GPU(s): give 2 or more, a GPU for each, or --cpu.')
    if not 2 <= args.steps <= 200:
        parser.error(f'--steps is {args.steps}; give 2 to 200, for older times are not in the log.')
    return args


if __name__ == '__main__':
    sys.exit(main())
