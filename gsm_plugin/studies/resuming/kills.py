"""Kills a small training at random moments, lets it go on, and compares how it ends with one that nobody killed."""

import contextlib
import json
import multiprocessing
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from gsm_plugin.studies.small_training import make_data, new_project, train
from gsm_plugin.training.checkpoints.sealed_file import DamagedFile, read_sealed

# A small GSM with CUDA graphs in bfloat16, as --force_yml takes it.
ON_GPU = (
    *('num_gpu=1', 'deterministic=true', 'train:precision=bf16', 'network_g:type=GSMamba', 'network_g:prop_depth=2'),
    *('network_g:attn_depth=2', 'network_g:pa_frame=1', 'network_g:embed_dims=32', 'network_g:num_heads=4'),
    'network_g:cuda_graphs=true',
)
_TIMES = {'eta_s', 'it_per_s', 'iter_time_s', 'data_time_s', 'memory_gib'}


class RunFailed(Exception):
    """A run that nobody killed failed; the text says why."""


class Kills(NamedTuple):
    """What came of it.

    Attributes:
        kills: Runs that were killed while they were alive.
        endings: Trainings that came to their end.
        identical: Those that left what the training left that nobody killed, bit for bit.
        lost: Kills after which the newest checkpoint of before could not be read.
        unfinished: Kills that came while a file was being written.
    """

    kills: int
    endings: int
    identical: int
    lost: int
    unfinished: int

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost and nothing differed."""
        return self.identical == self.endings and not self.lost


def kill_and_resume(
    root: Path, kills: int, kills_in_a_run: int, seed: int, forced: Sequence[str], say: Callable[[str], None]
) -> Kills:
    """Kills trainings by SIGKILL until there were enough kills.

    Args:
        root: An empty folder.
        kills: How often to kill.
        kills_in_a_run: How often in one training.
        seed: Of the moments.
        forced: Options as --force_yml takes them, such as `ON_GPU`.
        say: Takes lines about how it goes.

    Raises:
        RunFailed: A run that nobody killed failed.
    """
    # Processes forked from one that has imported everything start in a moment, and are killed like any other.
    context = multiprocessing.get_context('fork')
    make_data(root / 'data')
    reference = new_project(root, 'never_killed')
    run_to_end(context, reference, forced)
    if forced and ' on cuda: backend ' not in (reference / 'output.txt').read_text(encoding='utf-8'):
        raise RunFailed('The run was to be on the GPU, and its log does not say so.')
    # On a GPU, the first run compiles kernels.
    took = run_to_end(context, new_project(root, 'never_killed_either'), forced)
    say(f'A run that nobody kills takes {took:.1f} s.')
    moments, found = random.Random(seed), Kills(0, 0, 0, 0, 0)
    while found.kills < kills:
        project = new_project(root, f'killed_{found.endings}')
        killed = lost = unfinished = 0
        for _ in range(kills_in_a_run):
            before, was_killed = kill_after(context, project, forced, moments.uniform(0.05, took))
            killed += was_killed
            lost += was_killed and newest_whole(project) < before
            unfinished += len(list(project.glob('experiments/run/*/*.part')))
        # Other work on the machine makes runs slower or faster; the moments are to fall into them.
        took = run_to_end(context, project, forced) / 2 + took / 2
        differing = list(differences(ending_of(project), ending_of(reference)))
        added = killed, 1, not differing, lost, unfinished
        found = Kills(*(there + more for there, more in zip(found, added, strict=True)))
        endings = f'{found.identical} of {found.endings} endings identical'
        say(f'{found.kills} kills, {endings}, {found.lost} checkpoints lost')
        for line in differing:
            say(line)
        shutil.rmtree(project)
    return found


def kill_after(context: ForkContext, project: Path, forced: Sequence[str], seconds: float) -> tuple[int, bool]:
    """Starts a run and kills it; gives the newest checkpoint that was there before, and whether it was still alive."""
    process = context.Process(target=train, args=(project, *forced))
    process.start()
    process.join(seconds)
    before = max(iterations(project), default=0)
    is_alive = process.is_alive()
    process.kill()
    process.join()
    return before, is_alive


def run_to_end(context: ForkContext, project: Path, forced: Sequence[str]) -> float:
    """Runs a training to its end and gives the seconds that it took.

    Raises:
        RunFailed: It failed.
    """
    started = time.monotonic()
    process = context.Process(target=train, args=(project, *forced))
    process.start()
    process.join()
    if process.exitcode != 0:
        output = (project / 'output.txt').read_text(encoding='utf-8')
        raise RunFailed(f'The run ended with status {process.exitcode}:\n{output[-4000:]}')
    return time.monotonic() - started


def iterations(project: Path) -> list[int]:
    """Numbers of the training states that are there."""
    return [int(path.stem) for path in project.glob('experiments/run/training_states/*.state')]


def newest_whole(project: Path) -> int:
    """The newest training state that can be read."""
    for iteration in sorted(iterations(project), reverse=True):
        with contextlib.suppress(DamagedFile):
            state = read_sealed(project / f'experiments/run/training_states/{iteration}.state')
            return state['iter'] if isinstance(state, dict) else 0
    return 0


def ending_of(project: Path) -> dict[str, object]:
    """Everything that a training leaves, but for times: logged numbers, networks and states, to the bit."""
    home = project / 'experiments/run'
    records = [json.loads(line) for line in (home / 'train.jsonl').read_text(encoding='utf-8').splitlines()]
    records = [
        sorted((key, str(value)) for key, value in record.items() if key not in _TIMES)
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
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
