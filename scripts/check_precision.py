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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

# cuBLAS is deterministic with this alone
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.evaluation.gradients import GradientErrors, Step, gradient_errors, smooth_derivatives, take_step
from gsm_plugin.evaluation.tables import markdown_table
from gsm_plugin.inference.precision import autocast
from gsm_plugin.weights.reader import read_weights

NAIVE = {f'{op}_backend': 'naive' for op in ('scan', 'warp', 'attention')}
DEMO = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 16, 'num_heads': 2}
FRAMES, SCALE = 3, 4
LEAST_PSNR = 80.0
LARGEST_OF_NAIVE = 0.1
BOUNDS = {'fp32': 1e-4, 'tf32': 2e-2, 'bf16': 2e-2, 'fp16': 2e-2}
# Without it, small gradients vanish in fp16, as they would without the scaler in training.
LOSS_SCALES = {'fp32': 1.0, 'tf32': 1.0, 'bf16': 1.0, 'fp16': 2.0**16}


class Case(NamedTuple):
    """A network, of options and a state dict, a clip, and what output pixels weigh in what is differentiated."""

    title: str
    options: dict[str, int]
    weights: dict[str, Tensor]
    clip: Tensor
    weighting: Tensor

    def network(self, device: str, **options) -> GSMamba:
        return _network(self.options | options, self.weights, device).train()


def main() -> int:
    args = _parse()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    names = args.only or ['random', *(_names(args) if args.weights else [])]
    cases = [_random_case(args, device) if name == 'random' else _trained_case(args, device, name) for name in names]
    # a CPU has no TF32
    precisions = args.precision or [name for name in BOUNDS if device == 'cuda' or name != 'tf32']
    good = True
    with tqdm(total=len(cases) * (1 + 2 * len(precisions)) + 2, unit='step') as bar:
        for case in cases:
            with nullcontext() if args.kinks else smooth_derivatives():
                good &= _compare(case, device, precisions, args.kinks, bar)
        good &= _is_deterministic(cases[0], device, bar)
    if args.weights:
        _compare_clips(args, device)
    place = torch.cuda.get_device_name() if device == 'cuda' else 'CPU'
    print(f'{place}, torch {torch.__version__}, {vars(args)}: {"good" if good else "NOT GOOD"}')
    return 0 if good else 1


def _random_case(args: argparse.Namespace, device: str) -> Case:
    options = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': args.channels, 'num_heads': 4}
    torch.manual_seed(0)
    weights = GSMamba(**options).state_dict()
    clip = torch.rand(1, FRAMES, 3, args.height, args.width, device=device)
    shape = 1, FRAMES, 3, SCALE * args.height, SCALE * args.width
    weighting = torch.randn(shape, dtype=torch.float64, device=device)
    return Case('Random weights, a random weighting', options, weights, clip, weighting)


def _trained_case(args: argparse.Namespace, device: str, name: str) -> Case:
    weights = _trained_weights(args)
    lq, gt = _clip(args, device, name)
    lq = lq[:, :FRAMES, :, : args.height, : args.width]
    gt = gt[:, :FRAMES, :, : SCALE * args.height, : SCALE * args.width]
    with torch.no_grad():
        error = _network(DEMO, weights, device).double()(lq.double()) - gt
    # the derivative of a Charbonnier loss; that of the output itself would jump where rounding changes a sign
    weighting = error / (error.square() + 1e-12).sqrt()
    return Case(f'Trained weights, the loss of the recipes on a piece of {name}', DEMO, weights, lq, weighting)


def _network(options: dict[str, int | str | bool], weights: dict[str, Tensor], device: str) -> GSMamba:
    network = GSMamba(**options)
    network.load_state_dict(weights)
    return network.to(device)


def _compare(case: Case, device: str, precisions: list[str], kinks: bool, bar: tqdm) -> bool:
    """Prints a table of the case and says whether the fast network is as near as it has to be."""
    expected = _step(case.network(device, **NAIVE).double(), case, 'fp32', bar)
    rows, good = [], True
    for precision in precisions:
        bound = BOUNDS[precision]
        fast = _step(case.network(device, cuda_graphs=device == 'cuda'), case, precision, bar)
        naive = _step(case.network(device, **NAIVE), case, precision, bar)
        pairs = {'fast': (fast, expected), 'naive': (naive, expected), 'fast against naive': (fast, naive)}
        errors = {name: gradient_errors(*pair, expected) for name, pair in pairs.items()}
        for name, (actual, wanted) in pairs.items():
            psnr = f'{_psnr(actual.output, wanted.output):.1f}'
            rows.append([precision, name, psnr, *_summary(errors[name], bound)])
        good &= errors['naive'].whole <= LARGEST_OF_NAIVE
        good &= errors['fast'].whole <= max(bound, 2 * errors['naive'].whole)
        if precision == 'fp32' or not kinks:
            limits = {name: max(bound, 2 * error) for name, error in errors['naive'].of.items()}
            good &= all(error <= limits[name] for name, error in errors['fast'].of.items())
        if precision == 'fp32':
            good &= _psnr(fast.output, expected.output) >= LEAST_PSNR
    bar.clear()
    print(f'{case.title}:\n')
    print(markdown_table(['precision', 'network', 'PSNR, dB', 'gradient', 'median', 'worst', 'of', 'too far'], rows))
    return good


def _step(network: GSMamba, case: Case, precision: str, bar: tqdm) -> Step:
    def run() -> Tensor:
        with _precision(precision, case.clip.device):
            return network(case.clip.to(next(network.parameters()).dtype))

    step = take_step(network, run, case.weighting, LOSS_SCALES[precision])
    bar.update()
    return step


@contextmanager
def _precision(precision: str, device: torch.device) -> Iterator[None]:
    """Half precision, where PyTorch lets cuDNN compute by TF32 what is left in float32; TF32; or float32 alone."""
    torch.backends.cudnn.allow_tf32 = precision != 'fp32'
    torch.backends.cuda.matmul.allow_tf32 = precision == 'tf32'
    with autocast('fp32' if precision == 'tf32' else precision, device):
        yield


def _summary(errors: GradientErrors, bound: float) -> list[str]:
    """The whole gradient; median and worst parameter, its name, and how many are off by more than a bound."""
    above = errors.above(bound)
    places = sorted({name.split('.')[0] for name in above})
    count = f'{len(above)} of {len(errors.of)}' + f' ({", ".join(places)})' * (0 < len(places) < 3)
    return [*(f'{x:.1e}' for x in (errors.whole, errors.median, errors.of[errors.worst])), errors.worst, count]


def _psnr(first: Tensor, second: Tensor) -> float:
    return (-10 * torch.log10((first.double() - second.double()).square().mean())).item()


def _is_deterministic(case: Case, device: str, bar: tqdm) -> bool:
    torch.use_deterministic_algorithms(True)
    network = case.network(device, cuda_graphs=device == 'cuda')
    one, other = (_step(network, case, 'bf16', bar) for _ in range(2))
    torch.use_deterministic_algorithms(False)
    equal = torch.equal(one.output, other.output)
    equal &= all(torch.equal(gradient, other.gradients[name]) for name, gradient in one.gradients.items())
    bar.clear()
    print(f'Two deterministic steps in bf16 are {"equal" if equal else "NOT equal"}, bit for bit.\n')
    return equal


@torch.no_grad()
def _compare_clips(args: argparse.Namespace, device: str) -> None:
    network = _network(DEMO, _trained_weights(args), device).eval()
    rows = []
    for name in _names(args):
        lq, gt = _clip(args, device, name)
        with _precision('fp32', lq.device):
            full = network(lq)
        with _precision('bf16', lq.device):
            half = network(lq).float()
        scores = [_score(output, gt) for output in (full, half)]
        rows.append([name, *(f'{score:.4f}' for score in scores), f'{_psnr(half, full):.1f}'])
    print(markdown_table(['clip', 'PSNR in fp32', 'in bf16', 'bf16 against fp32, dB'], rows))


def _trained_weights(args: argparse.Namespace) -> dict[str, Tensor]:
    return read_weights(args.weights, 'params_ema').tensors


def _names(args: argparse.Namespace) -> list[str]:
    return sorted(folder.name for folder in (args.clips / 'LQ').iterdir())


def _clip(args: argparse.Namespace, device: str, name: str) -> list[Tensor]:
    """Input and ground truth of a test clip, (1, t, 3, h, w) in [0, 1]."""
    return [_read(args.clips / kind / name).to(device) for kind in ('LQ', 'GT')]


def _read(folder: Path) -> Tensor:
    images = [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())[None].float() / 255


def _score(output: Tensor, gt: Tensor) -> float:
    """Mean PSNR of frames as 8-bit images."""
    rounded = (output.clamp(0, 1) * 255).round() / 255
    return sum(_psnr(one, other) for one, other in zip(rounded[0], gt[0], strict=True)) / gt.shape[1]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--channels', type=int, default=96, help='of the network with random weights')
    parser.add_argument('--height', type=int, default=13, help='of the clips whose gradients are compared')
    parser.add_argument('--width', type=int, default=17, help='of these clips')
    parser.add_argument('--precision', nargs='+', choices=BOUNDS, help='default: all that there are on the device')
    parser.add_argument('--only', nargs='+', metavar='CASE', help='random, or the name of a clip; default: all')
    parser.add_argument('--kinks', action='store_true', help="leave the jumps of ReLUs' derivatives as they are")
    parser.add_argument('--weights', type=Path, help="the demo's, such as experiments/train_gsm_demo/models/...")
    parser.add_argument('--clips', type=Path, default=Path('datasets/demo/test'), help="the demo's test clips")
    args = parser.parse_args()
    if min(args.height, args.width) < 1:
        parser.error(f'--height {args.height} --width {args.width}: give a pixel at least.')
    if args.weights and not args.weights.is_file():
        parser.error(f'--weights {args.weights} is no file; `make demo` trains a network and says where it is.')
    if args.weights and not (args.clips / 'LQ').is_dir():
        parser.error(f'--clips {args.clips} has no folder LQ; `make demo` makes datasets/demo/test.')
    known = ['random', *(_names(args) if args.weights else [])]
    for name in args.only or []:
        if name not in known:
            parser.error(f'--only {name} is not one of {", ".join(known)}; clips need --weights.')
    if 'tf32' in (args.precision or []) and not torch.cuda.is_available():
        parser.error('--precision tf32 needs a GPU; leave it out.')
    return args


if __name__ == '__main__':
    sys.exit(main())
