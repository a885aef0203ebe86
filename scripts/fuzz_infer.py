"""Gives damaged films to `basicsr infer`, each in a process of its own: no crash without a sentence, no hang, bounded memory.

    python scripts/fuzz_infer.py FILM ... --runs 500

The network repeats pixels, since films are what is tried here. A failure is printed with the number that makes the same
file again (`--first NUMBER --runs 1`), and kept.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_PATIENCE = 120
_MEMORY = 6 * 2**30
_RUN = """
import sys
from pathlib import Path
import torch
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request

class Repeat:
    scale, device, precision, name = 2, torch.device('cpu'), 'fp32', 'repeat'
    def restore(self, clip):
        return clip.repeat_interleave(2, -1).repeat_interleave(2, -2)

request = Request(Path(sys.argv[1]), Path(sys.argv[2]), salvage=sys.argv[3] == 'True', wishes=Wishes(preset='ultrafast'))
(outcome,) = run_requests([request], [Repeat()], Progress)
print(outcome.state, outcome.text)
sys.exit(0 if outcome.state == 'done' else 2)
"""


def mutate(content: bytes, chance: random.Random) -> bytes:
    """A damaged copy: bytes flipped, cut off, a block removed, zeroed, or put elsewhere."""
    content = bytearray(content)
    kind = chance.choice(('flip', 'flip', 'cut', 'remove', 'zero', 'move'))
    start = chance.randrange(len(content))
    stop = min(len(content), start + chance.randrange(1, 1 + len(content) // 4))
    if kind == 'flip':
        for _ in range(chance.choice((1, 10, 100, 1000))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == 'cut':
        del content[start:]
    elif kind == 'remove':
        del content[start:stop]
    elif kind == 'zero':
        content[start:stop] = bytes(stop - start)
    else:
        block = content[start:stop]
        del content[start:stop]
        place = chance.randrange(len(content) + 1)
        content[place:place] = block
    return bytes(content)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(10)


def try_file(damaged: Path, folder: Path, salvage: bool) -> tuple[str, str]:
    """Runs on one file; returns what became of it (`done`, `refused` or a failure) and what was said."""
    out = folder / 'out.mkv'
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', _RUN, str(damaged), str(out), str(salvage)]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, preexec_fn=_bounded
        )
    except subprocess.TimeoutExpired:
        return 'HANGS', ''
    said = (ended.stdout + ended.stderr).strip()
    if ended.returncode not in (0, 2):
        return f'CRASHES with {ended.returncode}', said[-1500:]
    if (ended.returncode == 0) != out.exists():
        return 'LEAVES A FILM that is not whole, or none', said
    return 'done' if ended.returncode == 0 else 'refused', said


def main() -> None:
    """Fuzzes; ends with 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('films', type=Path, nargs='+', help='whole films to damage')
    parser.add_argument('--runs', type=int, default=20)
    parser.add_argument('--first', type=int, default=0, help='number of the first file')
    parser.add_argument('--keep', type=Path, default=Path('results', 'fuzz'), help='folder for files that fail')
    arguments = parser.parse_args()
    counts: dict[str, int] = {}
    for number in range(arguments.first, arguments.first + arguments.runs):
        chance = random.Random(number)
        source = chance.choice(sorted(arguments.films))
        with tempfile.TemporaryDirectory() as folder:
            damaged = Path(folder, f'damaged{source.suffix}')
            damaged.write_bytes(mutate(source.read_bytes(), chance))
            state, said = try_file(damaged, Path(folder), salvage=chance.random() < 0.5)
            counts[state] = counts.get(state, 0) + 1
            if state not in ('done', 'refused'):
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f'{number}{source.suffix}').write_bytes(damaged.read_bytes())
                print(f'{number} ({source.name}): {state}: {said}', flush=True)
    print(', '.join(f'{state} {count}' for state, count in sorted(counts.items())))
    sys.exit(0 if set(counts) <= {'done', 'refused'} else 1)


if __name__ == '__main__':
    main()
