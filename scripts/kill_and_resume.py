"""Kills a small training at random moments, lets it go on, and compares how it ends with one that nobody killed.

    python scripts/kill_and_resume.py --kills 100 --kills-in-a-run 1

The training is `basicsr train --auto_resume` of a small network with dropout, with an LMDB, two worker processes, an
average of the weights, accumulated gradients, a flow warm-up and validation. Every kill is SIGKILL. With `--gpu` the
network is a small GSM with CUDA graphs in bfloat16, trained on a GPU with `deterministic: true`.
"""

import argparse
import contextlib
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

import torch
from small_training import make_data, new_project, train

from gsm_plugin.engine.checkpoints.sealed_file import DamagedFile, read_sealed

ON_GPU = ['num_gpu=1', 'deterministic=true', 'train:precision=bf16', 'network_g:type=GSMamba']
ON_GPU += ['network_g:prop_depth=2', 'network_g:attn_depth=2', 'network_g:pa_frame=1', 'network_g:embed_dims=32']
ON_GPU += ['network_g:num_heads=4', 'network_g:cuda_graphs=true']
TIMES = {'eta_s', 'it_per_s', 'iter_time_s', 'data_time_s', 'memory_gib'}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='how often to kill (default: 100)')
    parser.add_argument('--kills-in-a-run', type=int, default=1, help='how often in one training (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    parser.add_argument(
        '--gpu', dest='forced', action='store_const', const=ON_GPU, default=[], help='train GSM on a GPU'
    )
    args = parser.parse_args()
    if args.forced and not torch.cuda.device_count():
        parser.error('--gpu needs a GPU, and PyTorch sees none; leave it out.')
    # Processes forked from one that has imported everything start in a moment, and are killed like any other.
    context = multiprocessing.get_context('fork')
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_data(root / 'data')
        reference = new_project(root, 'never_killed')
        run_to_end(context, reference, args.forced)
        if args.forced and ' on cuda: backend ' not in (reference / 'output.txt').read_text(encoding='utf-8'):
            sys.exit('The run was to be on the GPU, and its log does not say so.')
        # On a GPU, the first run compiles kernels.
        took = run_to_end(context, new_project(root, 'never_killed_either'), args.forced)
        print(f'A run that nobody kills takes {took:.1f} s.', flush=True)
        return kill_all(context, root, reference, took, args)


def kill_all(context, root: Path, reference: Path, took: float, args: argparse.Namespace) -> int:
    """Kills, resumes and compares until there were enough kills; returns the exit status."""
    moments = random.Random(args.seed)
    kills = endings = identical = lost = unfinished = 0
    while kills < args.kills:
        project = new_project(root, f'killed_{endings}')
        for _ in range(args.kills_in_a_run):
            before, was_killed = kill_after(context, project, args.forced, moments.uniform(0.05, took))
            kills += was_killed
            lost += was_killed and newest_whole(project) < before
            unfinished += len(list(project.glob('experiments/run/*/*.part')))
        # Other work on the machine makes runs slower or faster; the moments are to fall into them.
        took = run_to_end(context, project, args.forced) / 2 + took / 2
        differing = list(differences(ending_of(project), ending_of(reference)))
        endings, identical = endings + 1, identical + (not differing)
        print(f'{kills} kills, {identical} of {endings} endings identical, {lost} checkpoints lost', flush=True)
        print(*differing, sep='\n', end='\n' if differing else '', flush=True)
        shutil.rmtree(project)
    print(f'{unfinished} of the kills came while a file was being written.')
    return 0 if identical == endings and not lost else 1


def kill_after(context, project: Path, forced: list[str], seconds: float) -> tuple[int, bool]:
    """Starts a run and kills it; gives the newest checkpoint that was there before, and whether it was still alive."""
    process = context.Process(target=train, args=(project, *forced))
    process.start()
    process.join(seconds)
    before = max(iterations(project), default=0)
    is_alive = process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return before, is_alive


def run_to_end(context, project: Path, forced: list[str]) -> float:
    """Runs a training to its end and gives the seconds that it took."""
    started = time.monotonic()
    process = context.Process(target=train, args=(project, *forced))
    process.start()
    process.join()
    if process.exitcode != 0:
        output = (project / 'output.txt').read_text(encoding='utf-8')
        sys.exit(f'The run ended with status {process.exitcode}:\n{output[-4000:]}')
    return time.monotonic() - started


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
    records = [json.loads(line) for line in (home / 'train.jsonl').read_text(encoding='utf-8').splitlines()]
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


if __name__ == '__main__':
    sys.exit(main())
