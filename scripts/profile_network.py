"""Shows where the GPU's time goes in a network: `python scripts/profile_network.py [--train] [--network gsm-64]`.

Prints milliseconds of each op, for a frame of inference or for a training step, and of what PyTorch's libraries run.
"""

import argparse
import re
import sys
from collections import defaultdict
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

import gsm_plugin
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.scoring.report.tables import markdown_table

# Sizes, and the batch and frames of a training step.
NETWORKS = {
    'gsm': ({'prop_depth': 4, 'attn_depth': 4, 'pa_frame': 2, 'embed_dims': 192, 'num_heads': 8}, (1, 16)),
    'gsm-64': ({'prop_depth': 4, 'attn_depth': 2, 'pa_frame': 2, 'embed_dims': 64, 'num_heads': 4}, (4, 8)),
}
# What the names of kernels that are not ours tell, the first that fits.
LIBRARIES = {
    'convolutions (cuDNN)': 'conv|cudnn|winograd|fprop|dgrad|wgrad|nchw|nhwc',
    'matrix products (cuBLAS)': 'gemm|nvjet|cublas',
    'copies, sums and the like (PyTorch)': 'at::native|memcpy|memset',
}


def main() -> int:
    args = _parse()
    if not torch.cuda.is_available():
        print("The profile is of a GPU's kernels, and PyTorch sees none here.", file=sys.stderr)
        return 2
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    sizes, batch = NETWORKS[args.network]
    recompute = args.train and args.network == 'gsm'
    network = GSMamba(**sizes, use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute).cuda().train(args.train)
    shape = (*batch, 3, 64, 64) if args.train else (1, 8, 3, 180, 320)
    clip = torch.rand(shape, device='cuda')

    policy = policy_for('training' if args.train else 'inference', args.precision)

    def run() -> None:
        with policy.multiplying_float32(clip.device):
            with torch.set_grad_enabled(args.train), policy.autocasting(clip.device):
                output = network(clip)
            if args.train:
                network.zero_grad(set_to_none=True)
                output.to(policy.output).square().mean().backward()

    for _ in range(2):
        run()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    units = 1 if args.train else shape[1]
    totals, calls = defaultdict(float), defaultdict(int)
    owners = _owners()
    # calls from the CPU take none of the GPU's time
    for event in filter(lambda event: event.self_device_time_total, profiler.key_averages()):
        op = _op_of(event.key, owners)
        totals[op] += event.self_device_time_total / 1e3 / units
        calls[op] += event.count
    total = sum(totals.values())
    rows = [
        [op, f'{ms:.3f}', f'{ms / total:.1%}', f'{round(calls[op] / units, 1):g}']
        for op, ms in sorted(totals.items(), key=lambda item: -item[1])
    ]
    of = 'a step' if args.train else 'a frame'
    print(markdown_table(['op', f'ms of {of}', 'share', 'launches'], [*rows, ['all', f'{total:.3f}', '', '']]))
    print(f'{torch.cuda.get_device_name()}, torch {torch.__version__}, {args.precision}, {"x".join(map(str, shape))}')
    return 0


def _owners() -> dict[str, str]:
    """The op of each kernel of ours."""
    ops = Path(gsm_plugin.__file__).parent / 'ops'
    return {
        name: f'{path.parent.name} ({name.removesuffix("_kernel")})'
        for path in ops.glob('*/*.py')
        for name in re.findall(r'@triton\.jit.*\ndef (\w+_kernel)\(', path.read_text(encoding='utf-8'))
    }


def _op_of(kernel: str, owners: dict[str, str]) -> str:
    if kernel in owners:
        return owners[kernel]
    found = (title for title, pattern in LIBRARIES.items() if re.search(pattern, kernel, re.IGNORECASE))
    return next(found, 'others')


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--train', action='store_true', help='a training step on crops of 64x64 instead of 8x180x320')
    parser.add_argument('--network', choices=NETWORKS, default='gsm', help='the released one (gsm), or 64 channels')
    parser.add_argument('--precision', choices=['bf16', 'tf32', 'fp32'], default='bf16')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
