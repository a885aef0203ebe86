"""A week-long training in miniature: many steps of a small network, during which memory and files must not grow.

python scripts/long_run.py --steps 10000
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from gsm_plugin.studies.small_training import make_data, new_project, train

FREQUENCY = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--steps', type=int, default=10000, help='iterations (default: 10000)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder, 'data'))
        project = new_project(Path(folder), 'project')
        samples = run(project, args.steps)
        late = [sample for sample in samples if sample[0] >= args.steps // 10]
        print('iterations  memory of all processes (MiB)  files  of them checkpoints  size of checkpoints (KiB)')
        for number in range(0, len(late), max(1, len(late) // 10)):
            print('{:10d}  {:29.1f}  {:5d}  {:19d}  {:25.1f}'.format(*late[number]))
        half = len(late) // 2
        first, second = (max(sample[1] for sample in part) for part in (late[:half], late[half:]))
        print(f'largest memory in the first half {first:.1f} MiB, in the second {second:.1f} MiB')
    return 0 if second < first * 1.02 else 1


def run(project: Path, steps: int) -> list[tuple]:
    """Trains, and looks every second how much there is of everything."""
    process = multiprocessing.get_context('fork').Process(target=train, args=(project, *options(steps)))
    process.start()
    samples = []
    with tqdm(total=steps, unit='it') as bar:
        while process.is_alive():
            time.sleep(1)
            states = list(project.glob('experiments/run/training_states/*.state'))
            reached = max((int(path.stem) for path in states), default=0)
            bar.update(reached - bar.n)
            if memory := memory_of(process.pid):
                samples.append((reached, memory, *files_of(project)))
    if process.exitcode:
        sys.exit((project / 'output.txt').read_text(encoding='utf-8')[-4000:])
    return samples


def options(steps: int) -> list[str]:
    """What is different from the short training."""
    return [
        f'train:total_iter={steps}',
        f'train:scheduler:periods=[{steps}]',
        f'val:val_freq={10 * FREQUENCY}',
        f'logger:save_checkpoint_freq={FREQUENCY}',
        f'logger:print_freq={FREQUENCY}',
        f'logger:keep_every={steps // 4}',
        'datasets:train:dataset_enlarge_ratio=5',
        'datasets:train:persistent_workers=true',
    ]


def memory_of(pid: int) -> float:
    """Memory that a process and its children hold, MiB; what they share counts once."""
    total = 0
    for one in (pid, *map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text(encoding='utf-8').split())):
        try:
            lines = Path(f'/proc/{one}/smaps_rollup').read_text(encoding='utf-8').splitlines()
        except OSError:
            return 0.0
        total += sum(int(line.split()[1]) for line in lines if line.startswith('Pss:'))
    return total / 1024


def files_of(project: Path) -> tuple[int, int, float]:
    """Number of files of the run, of its checkpoints, and the size of those in KiB."""
    files = [path for path in project.rglob('*') if path.is_file() and 'data' not in path.parts]
    checkpoints = [path for path in files if path.suffix in ('.state', '.pth')]
    return len(files), len(checkpoints), sum(path.stat().st_size for path in checkpoints) / 1024


if __name__ == '__main__':
    sys.exit(main())
