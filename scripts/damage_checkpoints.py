"""Damages a training state in every way that it can be cut off, and in every region bit by bit, and looks what happens.

    python scripts/damage_checkpoints.py

After each damage the newest whole state must be found, the damaged one named in a sentence and kept as it is.
"""

import argparse
import random
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import torch
from tqdm import tqdm

from gsm_plugin.training.checkpoints.store import CheckpointStore

Damage = tuple[str, bytes]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--flips', type=int, default=300, help='flipped bits in each region (default: 300)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = CheckpointStore(Path(folder), Path(folder))
        for iteration in (1, 2):
            store.save(iteration, make_state(iteration), {})
        newest = Path(folder, '2.state')
        whole = newest.read_bytes()
        counts, failures = Counter(), Counter()
        for kind, content in tqdm(list(damages(newest, whole, args.flips)), unit='file'):
            counts[kind] += 1
            failures[kind] += not is_survived(store, newest, content)
        print(f'a training state of {len(whole):,} bytes')
        for kind, count in counts.items():
            print(f'{kind}: {count} files, {count - failures[kind]} recognised, named and kept')
    return 1 if failures.total() else 0


def make_state(iteration: int) -> dict:
    """A small training state with what real ones have."""
    network = torch.nn.Linear(4, 4)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(4)).sum().backward()
    optimizer.step()
    return {
        'sealed_by': 'gsm_plugin 1',
        'iter': iteration,
        'epoch': 0,
        'optimizers': [optimizer.state_dict()],
        'schedulers': [],
        'networks': {'net_g': network.state_dict()},
    }


def damages(path: Path, whole: bytes, flips: int) -> Iterator[Damage]:
    """Every prefix, and flipped bits in each region of the file."""
    for length in range(len(whole)):
        yield 'cut off', whole[:length]
    noise = random.Random(0)
    for region, places in regions(path, whole).items():
        for _ in range(flips):
            flipped = bytearray(whole)
            flipped[noise.choice(places)] ^= 1 << noise.randrange(8)
            yield f'bit flipped in the {region}', bytes(flipped)
    yield 'garbage', noise.randbytes(len(whole))
    yield 'zeros', bytes(len(whole))


def regions(path: Path, whole: bytes) -> dict[str, range]:
    """Where the parts of the archive lie."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        index = archive.start_dir
        seal = len(archive.comment)
    first_header = entries[0].header_offset
    tensor = next(entry for entry in entries if '/data/' in entry.filename)
    return {
        'header': range(first_header, first_header + 64),
        'description': range(first_header, tensor.header_offset),
        'tensors': range(tensor.header_offset, index),
        'index': range(index, len(whole) - seal),
        'checksum': range(len(whole) - seal, len(whole)),
    }


def is_survived(store: CheckpointStore, newest: Path, content: bytes) -> bool:
    """Whether the state before is found, and the damaged one is named and kept; puts everything back."""
    newest.write_bytes(content)
    aside = newest.with_name('2.state.damaged')
    found = store.newest()
    is_named = len(found.skipped) == 1 and str(newest) in found.skipped[0] and found.skipped[0].endswith('.')
    is_kept = aside.exists() and aside.read_bytes() == content
    aside.unlink(missing_ok=True)
    return found.content['iter'] == 1 and is_named and is_kept


if __name__ == '__main__':
    sys.exit(main())
