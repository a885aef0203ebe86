"""Kills a small training at random moments, lets it go on, and compares how it ends with one that nobody killed.

    python scripts/kill_and_resume.py --kills 100 --kills-in-a-run 1

The training is that of `basicsr train --auto_resume`: a small network with dropout, an LMDB, two worker processes, an
average of the weights, accumulated gradients, a flow warm-up and validation. Every kill is SIGKILL. With `--gpu` the
network is a small GSM with CUDA graphs in bfloat16, trained on a GPU with `deterministic: true`.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from gsm_plugin.studies.resuming.kills import ON_GPU, RunFailed, kill_and_resume


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='how often to kill (default: 100)')
    parser.add_argument('--kills-in-a-run', type=int, default=1, help='how often in one training (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    parser.add_argument('--gpu', dest='forced', action='store_const', const=ON_GPU, default=(), help='GSM on a GPU')
    args = parser.parse_args()
    if args.forced and not torch.cuda.device_count():
        parser.error('--gpu needs a GPU, and PyTorch sees none; leave it out.')
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = kill_and_resume(
                Path(folder), args.kills, args.kills_in_a_run, args.seed, args.forced, partial(print, flush=True)
            )
        except RunFailed as error:
            print(f'kill_and_resume: {error}', file=sys.stderr)
            return 1
    print(f'{found.unfinished} of the kills came while a file was being written.')
    return 0 if found.is_good else 1


if __name__ == '__main__':
    sys.exit(main())
