"""Compares the fast network with the naive one, outputs and gradients: `python scripts/check_precision.py`.

Both have the same random weights. For each precision it prints the PSNR of the output against the naive network in
float64, and how far the gradients are off, as the norm of the difference over the norm, of all together and of each
parameter; beside it the same of the naive network in that precision, which nothing can be much better than, and how far
the two are from each other. Parameters whose true gradient is zero are left out. The gradient is that of a random
weighting of the output.

The derivative of a ReLU jumps at zero, so that the last bit of an activation decides between two gradients, in any
implementation. Here it does not jump, in all networks alike; with `--kinks` it does, as in training.

Besides float32 and the half precisions, on a GPU it shows TF32, what PyTorch makes of float32 where it may: a measure
for bfloat16, which has 8 bits, and for float16, which has 11 as TF32 does.

With `--weights` it does the same with the demo's trained weights, for the loss of the recipes on a piece of each test
clip, and it restores those clips in float32 and bfloat16 and compares their PSNR to ground truth.

Ends with status 1 where float32 is below 80 dB, where the gradient or that of a parameter is off by more than 1e-4
(float32) or 2e-2 (the others) and also by more than twice what the naive network's is, where the naive network's are so
far off, by more than 0.1, that they say nothing, or where two equal deterministic steps differ. With `--kinks`, single
parameters count in float32 alone.
"""

import argparse
import os
import sys
from pathlib import Path

# cuBLAS is deterministic with this alone
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

import torch
from tqdm import tqdm

from gsm_plugin.errors import UserError
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.studies.clips import clip_names, read_clip
from gsm_plugin.studies.networks import build, read_trained
from gsm_plugin.studies.precision import cases, comparison


def main() -> int:
    args = _parse()
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        weights = read_trained(args.weights) if args.weights else {}
        clips = clip_names(args.clips) if args.weights else []
    except UserError as error:
        print(f'check_precision: {error}', file=sys.stderr)
        return 2
    unknown = [name for name in args.only or [] if name not in ('random', *clips)]
    if unknown:
        known = ', '.join(('random', *clips))
        print(f'check_precision: --only {unknown[0]} is not one of {known}; clips need --weights.', file=sys.stderr)
        return 2
    good, chosen = True, args.only or ['random', *clips]
    with tqdm(total=len(chosen) * comparison.steps_of(args.precision) + 2, unit='step') as bar:
        for number, name in enumerate(chosen):
            size = args.height, args.width
            if name == 'random':
                case = cases.random_case(args.channels, size, device)
            else:
                case = cases.trained_case(cases.DEMO, weights, read_clip(args.clips, name, device), size)
            found = comparison.compare(case, args.precision, args.kinks, bar.update)
            good &= found.is_good
            bar.clear()
            print(f'{case.title}:\n\n{markdown_table(comparison.COLUMNS, found.rows)}')
            if number == 0:
                equal = comparison.is_deterministic(case, bar.update)
                good &= equal
                bar.clear()
                print(f'Two deterministic steps in bf16 are {"equal" if equal else "NOT equal"}, bit for bit.\n')
    if args.weights:
        network = build(cases.DEMO, weights, device)
        rows = [comparison.compare_quality(network, read_clip(args.clips, name, device)) for name in clips]
        print(markdown_table(comparison.CLIP_COLUMNS, rows))
    place = torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'
    print(f'{place}, torch {torch.__version__}, {vars(args)}: {"good" if good else "NOT GOOD"}')
    return 0 if good else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--channels', type=int, default=96, help='of the network with random weights')
    parser.add_argument('--height', type=int, default=13, help='of the clips whose gradients are compared')
    parser.add_argument('--width', type=int, default=17, help='of these clips')
    parser.add_argument('--precision', nargs='+', choices=comparison.BOUNDS, help='default: all that the device has')
    parser.add_argument('--only', nargs='+', metavar='CASE', help='random, or the name of a clip; default: all')
    parser.add_argument('--kinks', action='store_true', help="leave the jumps of ReLUs' derivatives as they are")
    parser.add_argument('--weights', type=Path, help="the demo's, such as experiments/train_gsm_demo/models/...")
    parser.add_argument('--clips', type=Path, default=Path('datasets/demo/test'), help="the demo's test clips")
    args = parser.parse_args()
    if min(args.height, args.width) < 1:
        parser.error(f'--height {args.height} --width {args.width}: give a pixel at least.')
    if 'tf32' in (args.precision or []) and not torch.cuda.is_available():
        parser.error('--precision tf32 needs a GPU; leave it out.')
    # a CPU has no TF32
    args.precision = args.precision or [
        name for name in comparison.BOUNDS if torch.cuda.is_available() or name != 'tf32'
    ]
    return args


if __name__ == '__main__':
    sys.exit(main())
