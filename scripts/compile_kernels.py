"""Compiles every Triton kernel of the released network for a GPU that need not be there.

`python scripts/compile_kernels.py --capability 80` runs inference and a training step on tensors without content, takes
down which kernels are called with which types and constants, compiles them, and prints a table of their registers,
spilled bytes and shared memory. Ends with status 1 where one does not compile or needs more shared memory than a block
may have. It shows that kernels fit a card, not that they are right or fast there.
"""

import argparse
import dataclasses
import inspect
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import torch
import triton
import triton.runtime.jit
from torch._subclasses.fake_tensor import FakeTensorMode
from tqdm import tqdm
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.ops import dispatch
from gsm_plugin.scoring.report.tables import markdown_table

RELEASED = {'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 2, 'embed_dims': 192, 'num_heads': 8}
# Multiprocessors, and bytes of shared memory that a block may have, of a card of each capability.
CARDS = {80: (108, 166912), 86: (84, 101376), 89: (128, 101376), 90: (132, 232448), 100: (148, 232448)}
TYPES = {torch.float32: 'fp32', torch.bfloat16: 'bf16', torch.float16: 'fp16', torch.int64: 'i64', torch.int32: 'i32'}
PTXAS = Path(triton.__file__).parent / 'backends/nvidia/bin/ptxas'


def main() -> int:
    args = _parse()
    processors, most_shared = CARDS[args.capability]
    calls = {}
    for precision in args.precision:
        with _pretended_gpu(processors, most_shared, calls):
            _run_network(precision)
    rows, good = [], True
    target = GPUTarget('cuda', args.capability, 32)
    wanted = sorted((call for call in calls.values() if args.only in call[0]), key=lambda call: call[:2])
    for name, types, source, options in tqdm(wanted, desc='kernels', unit='kernel'):
        try:
            kernel = triton.compile(source, target=target, options=options)
        except Exception as error:
            print(f'{name} ({types}): {error}', file=sys.stderr)
            good = False
            continue
        shared = kernel.metadata.shared
        good &= shared <= most_shared
        rows.append([name, types, *_assemble(kernel.asm['ptx'], args.capability), f'{shared}'])
    print(markdown_table(['kernel', 'types', 'registers', 'spilled bytes', 'shared bytes'], rows))
    print(
        f'{len(rows)} kernels of {len(wanted)} for capability {args.capability / 10}, where a block may have '
        f'{most_shared} shared bytes; Triton {triton.__version__}: {"good" if good else "NOT GOOD"}'
    )
    return 0 if good else 1


def _run_network(precision: str) -> None:
    autocast = torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16')
    network = GSMamba(**RELEASED)
    with FakeTensorMode(allow_non_fake_inputs=True):
        network.to_empty(device='cpu')
        clip = torch.rand(1, 6, 3, 64, 64)
        with torch.no_grad(), autocast:
            network.restore(clip)
        with autocast:
            output = network.enhance(clip, *_flows(clip))
        output.float().mean().backward()


def _flows(clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flows as the flow network gives them, which has no kernel of ours in training."""
    return tuple(torch.rand(1, clip.shape[1] - 1, 2, *clip.shape[3:]).requires_grad_() for _ in range(2))


@contextmanager
def _pretended_gpu(processors: int, most_shared: int, calls: dict) -> Iterator[None]:
    """There is such a card, and what is to run on it is taken down."""
    properties = SimpleNamespace(multi_processor_count=processors, shared_memory_per_block_optin=most_shared)

    def take_down(kernel: triton.JITFunction, *args, grid, warmup, **kwargs) -> None:
        del grid, warmup
        name, types, source, options = _describe(kernel, args, kwargs)
        key = str((name, source.signature, source.constants, source.attrs, options))
        calls[key] = name, types, source, options

    card = mock.patch.object(torch.cuda, 'get_device_properties', return_value=properties)
    # PyTorch has no gradients of tensors on a GPU that is not there, so they are on the CPU and say otherwise
    tensors = mock.patch.multiple(torch.Tensor, is_cuda=True, is_cpu=False)
    # so the first backend of each op is taken, which is Triton's where there is one
    choice = mock.patch.object(dispatch, '_OPS', {op: _anywhere(backends) for op, backends in dispatch._OPS.items()})
    run = mock.patch.object(triton.runtime.jit.JITFunction, 'run', take_down)
    # autocast on a GPU leaves cat alone, on the CPU it refuses tensors of another half precision
    cat = mock.patch.object(torch, 'cat', _without_autocast(torch.cat))
    with card, tensors, choice, run, cat:
        yield


def _without_autocast(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def call(*args, **kwargs) -> torch.Tensor:
        with torch.autocast('cpu', enabled=False):
            return function(*args, **kwargs)

    return call


def _anywhere(backends: tuple[dispatch.Backend, ...]) -> tuple[dispatch.Backend, ...]:
    """Backends that run on every device; Numba's are of a CPU's memory."""
    others = (backend for backend in backends if backend.name != 'numba')
    return tuple(dataclasses.replace(backend, runs_on=lambda device: None) for backend in others)


def _describe(kernel: triton.JITFunction, args: tuple, kwargs: dict) -> tuple[str, str, ASTSource, dict]:
    """A call as Triton would specialise it, all tensors aligned."""
    names = [parameter.name for parameter in kernel.params]
    options = {name: value for name, value in kwargs.items() if name not in names}
    given = {name: value for name, value in kwargs.items() if name in names}
    bound = inspect.signature(kernel.fn).bind(*args, **given).arguments
    signature, constants, attributes, types = {}, {}, {}, []
    for i, parameter in enumerate(kernel.params):
        value = bound[parameter.name]
        is_one = type(value) is int and value == 1 and not parameter.do_not_specialize
        if parameter.is_constexpr or value is None or is_one:
            signature[parameter.name] = 'constexpr'
            constants[(i,)] = value
            continue
        aligned = not (parameter.do_not_specialize or parameter.do_not_specialize_on_alignment)
        if isinstance(value, torch.Tensor):
            signature[parameter.name] = f'*{TYPES[value.dtype]}'
            types.append(TYPES[value.dtype])
        else:
            signature[parameter.name] = 'fp32' if isinstance(value, float) else 'i32'
            aligned &= isinstance(value, int) and value % 16 == 0
        if aligned:
            attributes[(i,)] = [['tt.divisibility', 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    return kernel.fn.__name__, '/'.join(sorted(set(types))), source, options


def _assemble(ptx: str, capability: int) -> tuple[str, str]:
    """Registers of a thread, and bytes that it spills."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, 'kernel.ptx').write_text(ptx, encoding='utf-8')
        suffix = 'a' if capability >= 90 else ''
        command = [PTXAS, '-v', f'--gpu-name=sm_{capability}{suffix}', 'kernel.ptx', '-o', 'kernel.cubin']
        printed = subprocess.run(
            command, cwd=folder, capture_output=True, encoding='utf-8', errors='replace', check=True
        ).stderr
    return re.search(r'Used (\d+) registers', printed)[1], re.search(r'(\d+) bytes spill stores', printed)[1]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--capability', type=int, choices=CARDS, default=80, help='of the GPU, times ten (default: 80)')
    parser.add_argument('--precision', nargs='+', choices=['bf16', 'fp32'], default=['bf16', 'fp32'])
    parser.add_argument('--only', default='', metavar='TEXT', help='kernels that have this in their names')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
