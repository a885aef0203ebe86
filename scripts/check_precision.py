"""Compares the fast network with the naive one in float64, outputs and gradients: `python scripts/check_precision.py`.

Both have the same random weights. For each precision it prints the PSNR of the output against float64, and how far the
gradients are off, as the norm of the difference over the norm, per parameter; beside it the same of the naive network
in that precision, which nothing can be much better than, and how far the two are from each other. Parameters whose true
gradient is zero are left out. The gradient is that of a fixed weighting of the output, for a loss with a kink would
magnify what is rounded.

With `--weights` it also restores the demo's test clips in float32 and bfloat16 and compares their PSNR to ground truth.
Ends with status 1 where float32 is below 80 dB, a gradient of float32 off by more than 1e-4, unless the naive network
in float32 is so too, or two equal deterministic steps differ.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# cuBLAS is deterministic with this alone
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')

import cv2
import numpy as np
import torch
from torch import Tensor

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.evaluation.tables import markdown_table

NAIVE = {f'{op}_backend': 'naive' for op in ('scan', 'warp', 'attention')}
DEMO = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 16, 'num_heads': 2}
LEAST_PSNR, LARGEST_ERROR = 80.0, 1e-4
# Smaller gradients, relative to the largest, are rounding errors of zero.
ZERO = 1e-9


def main() -> int:
    args = _parse()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    size = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': args.channels, 'num_heads': 4}
    torch.manual_seed(0)
    law = GSMamba(**size, **NAIVE).double()
    clip = torch.rand(1, 3, 3, args.height, args.width, dtype=torch.float64, device=device)
    weighting = torch.randn(1, 3, 3, 4 * args.height, 4 * args.width, dtype=torch.float64, device=device)

    def step(network: GSMamba, dtype: torch.dtype, autocast: bool) -> tuple[Tensor, dict[str, Tensor]]:
        network.zero_grad(set_to_none=True)
        with _precision(device, autocast):
            output = network(clip.to(dtype))
        (output.double() * weighting).mean().backward()
        return output.detach().double(), {
            name: parameter.grad.double().clone()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }

    def copy(**options) -> GSMamba:
        network = GSMamba(**size, **options)
        network.load_state_dict(law.state_dict())
        return network.to(device).train()

    law = law.to(device).train()
    expected = step(law, torch.float64, False)
    norms = {name: gradient.norm() for name, gradient in expected[1].items()}
    nonzero = [name for name, norm in norms.items() if norm > ZERO * max(norms.values())]
    rows, good = [], True
    for precision in ('fp32', 'bf16'):
        autocast = precision == 'bf16'
        fast = step(copy(cuda_graphs=device == 'cuda'), torch.float32, autocast)
        naive = step(copy(**NAIVE), torch.float32, autocast)
        pairs = {'fast': (fast, expected), 'naive': (naive, expected), 'fast against naive': (fast, naive)}
        errors = {name: _errors(actual[1], wanted[1], nonzero) for name, (actual, wanted) in pairs.items()}
        for name, (actual, wanted) in pairs.items():
            rows.append([precision, name, f'{_psnr(actual[0], wanted[0]):.1f}', *_summary(errors[name])])
        if precision == 'fp32':
            limit = {name: max(LARGEST_ERROR, 2 * error) for name, error in errors['naive'].items()}
            good &= _psnr(fast[0], expected[0]) >= LEAST_PSNR
            good &= all(error <= limit[name] for name, error in errors['fast'].items())
    header = ['precision', 'network', 'PSNR, dB', 'gradients: median', 'worst', 'of', f'above {LARGEST_ERROR:g}']
    print(markdown_table(header, rows))
    good &= _is_deterministic(lambda: copy(cuda_graphs=device == 'cuda'), step)
    if args.weights:
        _compare_clips(args.weights, args.clips, device)
    place = torch.cuda.get_device_name() if device == 'cuda' else 'CPU'
    print(f'{place}, torch {torch.__version__}, {vars(args)}: {"good" if good else "NOT GOOD"}')
    return 0 if good else 1


@contextmanager
def _precision(device: str, autocast: bool) -> Iterator[None]:
    """Autocast to bfloat16, where PyTorch lets cuDNN compute by TF32 what is left in float32; or float32 alone."""
    torch.backends.cudnn.allow_tf32 = autocast
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        yield


def _errors(actual: dict[str, Tensor], expected: dict[str, Tensor], names: list[str]) -> dict[str, float]:
    return {name: ((actual[name] - expected[name]).norm() / expected[name].norm()).item() for name in names}


def _summary(errors: dict[str, float]) -> list[str]:
    """Median, worst, the parameter that it is of, and how many are too large, and where if those are few."""
    worst = max(errors, key=errors.get)
    above = [parameter for parameter, error in errors.items() if error > LARGEST_ERROR]
    places = sorted({parameter.split('.')[0] for parameter in above})
    count = f'{len(above)} of {len(errors)}' + f' ({", ".join(places)})' * (0 < len(places) < 3)
    return [f'{sorted(errors.values())[len(errors) // 2]:.1e}', f'{errors[worst]:.1e}', worst, count]


def _psnr(first: Tensor, second: Tensor) -> float:
    return (-10 * torch.log10((first.double() - second.double()).square().mean())).item()


def _is_deterministic(make, step) -> bool:
    torch.use_deterministic_algorithms(True)
    network = make()
    (one, of_one), (other, of_other) = (step(network, torch.float32, True) for _ in range(2))
    torch.use_deterministic_algorithms(False)
    equal = torch.equal(one, other) and all(torch.equal(of_one[name], of_other[name]) for name in of_one)
    print(f'Two deterministic steps in bf16 are {"equal" if equal else "NOT equal"}, bit for bit.')
    return equal


@torch.no_grad()
def _compare_clips(weights: Path, clips: Path, device: str) -> None:
    network = GSMamba(**DEMO)
    network.load_state_dict(torch.load(weights, weights_only=True)['params_ema'])
    network = network.to(device).eval()
    rows = []
    for folder in sorted((clips / 'LQ').iterdir()):
        lq, gt = (_read(clips / kind / folder.name).to(device) for kind in ('LQ', 'GT'))
        with _precision(device, autocast=False):
            full = network(lq)
        with _precision(device, autocast=True):
            half = network(lq).float()
        scores = [_score(output, gt) for output in (full, half)]
        rows.append([folder.name, *(f'{score:.4f}' for score in scores), f'{_psnr(half, full):.1f}'])
    print(markdown_table(['clip', 'PSNR in fp32', 'in bf16', 'bf16 against fp32, dB'], rows))


def _read(folder: Path) -> Tensor:
    images = [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())[None].float() / 255


def _score(output: Tensor, gt: Tensor) -> float:
    """Mean PSNR of frames as 8-bit images."""
    rounded = (output.clamp(0, 1) * 255).round() / 255
    return sum(_psnr(one, other) for one, other in zip(rounded[0], gt[0], strict=True)) / gt.shape[1]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--channels', type=int, default=96, help='of the network')
    parser.add_argument('--height', type=int, default=24, help='of the clip, which has three frames')
    parser.add_argument('--width', type=int, default=32, help='of the clip')
    parser.add_argument('--weights', type=Path, help="the demo's, such as experiments/train_gsm_demo/models/...")
    parser.add_argument('--clips', type=Path, default=Path('datasets/demo/test'), help="the demo's test clips")
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
