"""Measures the selective scan on the CPU, forward and backward, against its step-by-step reference.

`python scripts/benchmark_scan.py` runs each backend in a process of its own, so that their peak memory can be told
apart, prints a table and writes a JSON record to scripts/benchmark/records/scan_cpu.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from gsm_plugin.ops import selective_scan
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.scoring.results.provenance import provenance

ROOT = Path(__file__).parents[1]


def main() -> int:
    args = _parse()
    if args.backend:
        print(json.dumps(_measure(args)))
        return 0
    results = {backend: _in_process_of_its_own(args, backend) for backend in ('naive', 'torch')}
    speedup = results['naive']['seconds'] / results['torch']['seconds']
    sizes = {'length': args.length, 'width': args.width, 'state': args.state, 'threads': args.threads}
    record = {**provenance(ROOT), **sizes, 'results': results, 'speedup': speedup}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
    rows = [[name, f'{row["seconds"]:.2f}', f'{row["memory_gib"]:.2f}'] for name, row in results.items()]
    print(markdown_table(['backend', 'seconds', 'memory GiB'], rows))
    print(f'The torch backend is {speedup:.1f} times faster. {record["device"]}, torch {record["packages"]["torch"]}.')
    return 0


def _measure(args: argparse.Namespace) -> dict[str, float]:
    """Time of a forward and backward pass, the best of several, and what it needs on top of its inputs."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    u, z = torch.randn(2, 1, args.width, args.length)
    delta = F.softplus(torch.randn(1, args.width, args.length) - 2)
    B, C = torch.randn(2, 1, args.state, args.length)
    A = -torch.arange(1.0, args.state + 1).repeat(args.width, 1)
    leaves = [x.requires_grad_() for x in (u, delta, A, B, C)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(1 if args.backend == 'naive' else 3):
        start = time.perf_counter()
        (selective_scan(*leaves, backend=args.backend) * z).sum().backward()
        seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {'seconds': min(seconds), 'memory_gib': (after - before) / 2**20}


def _in_process_of_its_own(args: argparse.Namespace, backend: str) -> dict[str, float]:
    sizes = ['--length', args.length, '--width', args.width, '--state', args.state, '--threads', args.threads]
    command = [sys.executable, __file__, '--backend', backend, *map(str, sizes)]
    output = subprocess.run(command, check=True, capture_output=True, encoding='utf-8', errors='replace').stdout
    return json.loads(output.splitlines()[-1])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--length', type=int, default=20480, help='steps')
    parser.add_argument('--width', type=int, default=384, help='channels')
    parser.add_argument('--state', type=int, default=16, help='size of the state of a channel')
    parser.add_argument('--threads', type=int, default=2, help='threads of PyTorch')
    parser.add_argument('--out', type=Path, default=ROOT / 'scripts/benchmark/records/scan_cpu.json', help='record')
    parser.add_argument('--backend', help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
