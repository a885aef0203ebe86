"""Measures the bidirectional scan on a GPU, forward and backward, kernel by kernel, and mamba-ssm's where installed.

`python scripts/benchmark_bidirectional_scan.py` prints a table of milliseconds for steps of the published
initialisation, where states are soon forgotten, and for small steps, where they are carried over the whole sequence.
"""

import argparse
import itertools
import sys
from collections.abc import Callable

import torch
import triton.testing
from torch.profiler import ProfilerActivity, profile

from gsm_plugin.ops import ScanParameters, bidirectional_scan
from gsm_plugin.ops._common.requirements import needs_mamba_ssm
from gsm_plugin.scoring.report.tables import markdown_table

WIDTH_OF_CONVOLUTION = 4


def main() -> int:
    args = _parse()
    if not torch.cuda.is_available():
        print('Triton measures on a GPU, and PyTorch sees none here.', file=sys.stderr)
        return 2
    rows = []
    backends = ['triton'] if needs_mamba_ssm(torch.device('cuda')) else ['triton', 'mamba_ssm']
    for backend, steps in itertools.product(backends, ('published', 'small')):
        for name, run in _passes(_leaves(args, steps), backend).items():
            rows.append([f'{backend} {name}, {steps} steps', f'{_milliseconds(run):.3f}', _kernels(run)])
    print(markdown_table(['pass', 'ms', 'ms of its kernels'], rows))
    print(f'{torch.cuda.get_device_name()}, torch {torch.__version__}, {vars(args)}')
    return 0


def _passes(leaves: list[torch.Tensor], backend: str) -> dict[str, Callable[[], object]]:
    y = _scan(leaves, backend)
    cotangent = torch.randn_like(y)
    return {
        'forward': lambda: _without_gradient(leaves, backend),
        'backward': lambda: torch.autograd.grad(y, leaves, cotangent, retain_graph=True),
    }


def _leaves(args: argparse.Namespace, steps: str) -> list[torch.Tensor]:
    """x, z and the parameters; small steps are 1e-4 with a tenth of the published decay."""
    d, n, rank = args.width, args.state, args.rank
    generator = torch.Generator('cuda').manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device='cuda', generator=generator)

    x, z = random(args.batch, args.length, 2 * d).to(getattr(torch, args.dtype)).chunk(2, -1)
    projections = random(2, rank + 2 * n, d) * d**-0.5, random(2, d, rank) * 0.1
    bias = torch.full((2, d), -9.0 if steps == 'small' else 0.0, device='cuda')
    A = -torch.arange(1.0, n + 1, device='cuda').repeat(2, d, 1) * (0.1 if steps == 'small' else 1.0)
    convolution = random(2, d, WIDTH_OF_CONVOLUTION) * 0.3, random(2, d) * 0.1
    leaves = [x, z, *convolution, *projections, bias, A, torch.ones(2, d, device='cuda')]
    return [leaf.detach().requires_grad_() for leaf in leaves]


def _scan(leaves: list[torch.Tensor], backend: str) -> torch.Tensor:
    return bidirectional_scan(leaves[0], leaves[1], ScanParameters(*leaves[2:]), backend)


@torch.no_grad()
def _without_gradient(leaves: list[torch.Tensor], backend: str) -> torch.Tensor:
    return _scan(leaves, backend)


def _milliseconds(run: Callable[[], object]) -> float:
    """Median of the GPU's time, with a cold cache; calls wait in its queue, as in a CUDA graph it waits for none."""
    return triton.testing.do_bench(run, warmup=50, rep=300, return_mode='median')


def _kernels(run: Callable[[], object], repeats: int = 3) -> str:
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(repeats):
            run()
        torch.cuda.synchronize()
    totals = [(event.self_device_time_total / repeats / 1000, event.key) for event in profiler.key_averages()]
    return ', '.join(f'{key.split("<")[0][:28]} {ms:.3f}' for ms, key in sorted(totals, reverse=True) if ms > 0.005)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch', type=int, default=1, help='sequences')
    parser.add_argument('--length', type=int, default=288000, help='tokens of a sequence')
    parser.add_argument('--width', type=int, default=384, help='channels')
    parser.add_argument('--state', type=int, default=16, help='size of the state of a channel')
    parser.add_argument('--rank', type=int, default=12, help='rank of the step')
    parser.add_argument('--dtype', choices=['bfloat16', 'float16', 'float32'], default='bfloat16', help='of x and z')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
