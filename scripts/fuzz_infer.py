"""Gives damaged films and folders of images to the engine of `basicsr infer`, each in a process of its own.

There is to be no crash, no hang, no refusal without one sentence, no output that is not whole, and no boundless memory:

    python scripts/fuzz_infer.py FILM_OR_FOLDER ... --runs 500

The network repeats pixels, since films are what is tried here. A failure is printed with the number that makes the same
file again (`--first NUMBER --runs 1`), and kept.
"""

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import torch
from torch import Tensor

from gsm_plugin.host_memory import peak_of_process
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request

_PATIENCE = 120
_MEMORY = 6 * 2**30
_DONE, _REFUSED, _CRASHED = 0, 2, 70


class Repeat:
    """Enlarges by repeating pixels."""

    scale, device, precision, name = 2, torch.device('cpu'), 'fp32', 'repeat'

    def restore(self, clip: Tensor) -> Tensor:
        """Takes (b, t, 3, h, w)."""
        return clip.repeat_interleave(2, -1).repeat_interleave(2, -2)


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


def damage(source: Path, folder: Path, chance: random.Random) -> Path:
    """A damaged copy of a film, or of a folder in which one image is damaged."""
    copy = folder / f'damaged{source.suffix}'
    if source.is_dir():
        shutil.copytree(source, copy)
        broken = chance.choice(sorted(copy.iterdir()))
        broken.write_bytes(mutate(broken.read_bytes(), chance))
    else:
        copy.write_bytes(mutate(source.read_bytes(), chance))
    return copy


def _run(damaged: Path, out: Path, said: Path, salvage: bool) -> None:
    """What the process does; it writes its peak and what it has to say into a file, and ends with a status."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        request = Request(damaged, out, salvage=salvage, wishes=Wishes(preset='ultrafast'))
        (outcome,) = run_requests([request], [Repeat()], Progress)
    except BaseException:
        said.write_text(f'{peak_of_process()} {traceback.format_exc()}', encoding='utf-8')
        os._exit(_CRASHED)
    said.write_text(f'{peak_of_process()} {outcome.text}', encoding='utf-8')
    os._exit(_DONE if outcome.state == 'done' else _REFUSED)


def try_file(damaged: Path, folder: Path, salvage: bool) -> tuple[str, str, int]:
    """Runs on one input; returns what became of it (`done`, `refused` or a failure), what was said, and the peak."""
    out, said = folder / ('out' if damaged.is_dir() else 'out.mkv'), folder / 'said.txt'
    process = multiprocessing.get_context('fork').Process(target=_run, args=(damaged, out, said, salvage))
    process.start()
    process.join(_PATIENCE)
    if process.is_alive():
        process.kill()
        process.join()
        return 'HANGS', '', 0
    peak, _, text = (said.read_text(encoding='utf-8') if said.exists() else '0 ').partition(' ')
    return _judged(process.exitcode, out.exists(), text), text, int(peak)


def _judged(status: int | None, is_there: bool, text: str) -> str:
    if status not in (_DONE, _REFUSED):
        return f'CRASHES with {status}'
    if (status == _DONE) != is_there:
        return 'LEAVES AN OUTPUT that is not whole, or none'
    if status == _REFUSED and (len(text.splitlines()) != 1 or not text.endswith('.')):
        return 'SAYS no sentence'
    return 'done' if status == _DONE else 'refused'


def main() -> None:
    """Fuzzes; ends with 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('sources', type=Path, nargs='+', help='whole films and folders of images to damage')
    parser.add_argument('--runs', type=int, default=20)
    parser.add_argument('--first', type=int, default=0, help='number of the first file')
    parser.add_argument('--show', action='store_true', help='print what is said of each')
    parser.add_argument('--keep', type=Path, default=Path('results', 'fuzz'), help='folder for files that fail')
    arguments = parser.parse_args()
    counts: dict[str, int] = {}
    highest = 0
    for number in range(arguments.first, arguments.first + arguments.runs):
        chance = random.Random(number)
        source = chance.choice(sorted(arguments.sources))
        with tempfile.TemporaryDirectory() as folder:
            damaged = damage(source, Path(folder), chance)
            state, said, peak = try_file(damaged, Path(folder), salvage=chance.random() < 0.5)
            counts[state] = counts.get(state, 0) + 1
            highest = max(highest, peak)
            if arguments.show:
                print(number, source.name, state, f'{peak >> 20} MiB', said, flush=True)
            if state not in ('done', 'refused'):
                _keep(damaged, arguments.keep / f'{number}{source.suffix}')
                print(f'{number} ({source.name}): {state}: {said[-1500:]}', flush=True)
    print(
        *(f'{state} {count}' for state, count in sorted(counts.items())), f'highest peak {highest >> 20} MiB', sep=', '
    )
    sys.exit(0 if set(counts) <= {'done', 'refused'} else 1)


def _keep(damaged: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if damaged.is_dir():
        shutil.copytree(damaged, place, dirs_exist_ok=True)
    else:
        shutil.copy(damaged, place)


if __name__ == '__main__':
    main()
