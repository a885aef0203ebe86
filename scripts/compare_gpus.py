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
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from gsm_plugin.scoring.results.provenance import provenance
from gsm_plugin.studies.gpus.comparison import compare_curves, measure_efficiency
from gsm_plugin.studies.gpus.runs import NETWORKS, RunFailed, Settings
from gsm_plugin.studies.small_training import make_data

ROOT = Path(__file__).resolve().parents[1]
# By whether there are GPUs; the crop of the efficiency is that of the recipe.
DEFAULTS = {
    True: {'network': 'released', 'curve_network': 'small', 'frames': 16, 'patch': 64, 'iterations': 30, 'steps': 16},
    False: {'network': 'tiny', 'curve_network': 'tiny', 'frames': 2, 'patch': 16, 'iterations': 10, 'steps': 8},
}
SHARED = ('processes', 'on_gpus', 'batch', 'frames', 'patch', 'workers', 'cuda_graphs', 'timeout', 'deadline')
RECORDED = ('batch', 'frames', 'patch', 'iterations', 'steps', 'network', 'curve_network', 'cuda_graphs')
PARTS = ('curve', 'efficiency')


def main() -> int:
    args = parse()
    settings = Settings(ROOT, **{key: getattr(args, key) for key in SHARED})
    record = {'processes': args.processes, 'backend': 'nccl' if args.on_gpus else 'gloo'}
    record |= {key: getattr(args, key) for key in RECORDED}
    say = partial(print, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder, 'data'), lq_side=args.patch + args.patch // 8)
        try:
            for part in args.parts:
                if part == 'curve':
                    record[part] = compare_curves(Path(folder), settings, args.iterations, args.curve_network, say)
                else:
                    record[part] = measure_efficiency(Path(folder), settings, args.steps, args.network, say)
                write(record, args)
        except RunFailed as error:
            print(f'compare_gpus: {error}', file=sys.stderr)
            return 1
    return 0 if record.get('curve', {}).get('agrees', True) else 1


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
