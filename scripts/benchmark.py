"""Measures speed and memory of GSM beside BasicVSR, BasicVSR++, VRT and bicubic: `python scripts/benchmark.py table`.

Writes a JSON record (commit, device, versions, median, spread, peak memory) to scripts/benchmark/records/ after each
work, and prints a Markdown table. Networks have random weights, GSM runs with `cuda_graphs`, cuDNN searches for its
fastest convolutions as in BasicSR's pipelines. GSM's scan is slower where steps are small, as trained weights may have
them: its first pass stops early where the state has decayed. A work `film` is a film with sound and cuts, enlarged from
file to file as `basicsr infer` does it; its time is that of everything.
"""

import argparse
import gc
import inspect
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import torch

import gsm_plugin
from gsm_plugin.inference.choices import PRECISIONS
from gsm_plugin.inference.handling import handling_of
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request
from gsm_plugin.layers.precision import policy_for
from gsm_plugin.metrics.cost import time_calls
from gsm_plugin.scoring.known_networks import KNOWN_NETWORKS
from gsm_plugin.scoring.report.tables import markdown_table
from gsm_plugin.scoring.results.provenance import provenance
from gsm_plugin.studies.films import write_film
from gsm_plugin.studies.networks import NAIVE

gsm_plugin.register()

from basicsr.archs import basicvsr_arch, basicvsrpp_arch, build_network, spynet_arch  # noqa: E402

ROOT = Path(__file__).parents[1]
# BasicSR's `flow_warp` makes a grid on the CPU at every call; the plugin makes it on the GPU.
HOST_GRID = '-host-grid'
SMALL = {'type': 'GSMamba', 'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 32, 'num_heads': 4}
CHANNELS_64 = {'type': 'GSMamba', 'prop_depth': 4, 'attn_depth': 2, 'pa_frame': 2, 'embed_dims': 64, 'num_heads': 4}
CHANNELS_64 |= {'use_checkpoint_attn': False, 'use_checkpoint_ffn': False}  # as options/train_gsm_small_x4.yml has it
DEMO = {'type': 'GSMamba', 'prop_depth': 2, 'attn_depth': 2, 'pa_frame': 1, 'embed_dims': 16, 'num_heads': 2}
PUBLISHED = ('bicubic', 'basicvsr', 'iconvsr', 'basicvsrpp', 'vrt', 'gsm')
NETWORKS = {name: KNOWN_NETWORKS[name].options for name in PUBLISHED}
NETWORKS |= {'gsm-small': SMALL, 'gsm-small-naive': SMALL | NAIVE, 'gsm-64': CHANNELS_64}
NETWORKS |= {f'gsm-demo{suffix}': DEMO | own for suffix, own in (('', {}), ('-torch-scan', {'scan_backend': 'torch'}))}
NETWORKS |= {f'{name}{HOST_GRID}': NETWORKS[name] for name in ('basicvsr', 'basicvsrpp')}
BESIDE = ('bicubic', 'basicvsr', 'basicvsrpp', 'vrt')
SETS = {
    'table': [
        *(f'infer:gsm:16x180x320:{precision}' for precision in ('bf16', 'fp32')),
        'infer:gsm:100x144x144:bf16',
        *(f'train:gsm:16x64x64:{precision}' for precision in ('bf16', 'fp16', 'fp32')),
        *(f'infer:{network}:16x180x320:{precision}' for network in BESIDE for precision in ('bf16', 'fp32')),
        *(f'infer:{network}:100x144x144:bf16' for network in ('basicvsr', 'basicvsrpp')),
    ],
    # what the Restorer adds to its network, and BasicSR's networks with both grids
    'restorer': [
        *(f'{kind}:gsm:16x180x320:bf16' for kind in ('infer', 'restore')),
        *(f'{kind}:gsm:8x540x960:bf16' for kind in ('infer', 'restore')),
        *(
            f'infer:{network}{grid}:16x180x320:bf16'
            for network in ('basicvsr', 'basicvsrpp')
            for grid in ('', HOST_GRID)
        ),
    ],
    # what decoding, encoding and planning add
    'films': [
        *(f'{kind}:gsm:{frames}x180x320:bf16' for kind, frames in (('infer', 16), ('film', 2000))),
        *(f'{kind}:gsm-64:{frames}x180x320:bf16' for kind, frames in (('infer', 16), ('film', 2000))),
        'film:gsm:96x540x960:bf16',
    ],
    'frames': [f'infer:gsm:{frames}x180x320:bf16' for frames in (8, 16, 32, 64, 100)],
    'pixels': [f'infer:gsm:8x{size}:bf16' for size in ('64x64', '128x128', '180x320', '270x480', '360x640', '540x960')],
    'cpu': [
        f'{kind}:{network}:{size}:fp32'
        for kind, size in (('infer', '5x64x64'), ('train', '5x32x32'))
        for network in ('gsm-small-naive', 'gsm-small')
    ],
    'cpu-rivals': [
        *(f'infer:{network}:5x{size}:fp32' for size in ('64x64', '90x160') for network in ('gsm-64', 'basicvsr')),
        *(f'train:{network}:2x24x24:fp32' for network in ('gsm-demo', 'gsm-demo-torch-scan')),
    ],
}


def main() -> int:
    args = _parse()
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    torch.backends.cudnn.benchmark = not args.no_search
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f'{args.name}.json'
    record = {**provenance(ROOT), 'rows': []}
    rows = record['rows']
    for work in [work for works in args.work for work in works]:
        kind, network, batch, frames, height, width, precision = _split(work)
        try:
            net = build_network(_options(network, kind)).to(device)
            call = KINDS[kind](net, (batch, frames, 3, height, width), precision, torch.device(device))
            with _grid_of(network):
                clock = time.process_time if args.processor_time else time.perf_counter
                # the first time a film is enlarged, all kernels are compiled
                timing = time_calls(call, device, args.repeats, 1 if kind == 'film' else 2, clock)
        except torch.OutOfMemoryError:
            print(f'{work}: out of memory', file=sys.stderr)
            continue
        speed = batch * frames / timing.median
        rows.append({'work': work, 'frames_per_second': speed, **asdict(timing)})
        print(f'{work}: {timing.median * 1e3:.1f} ms, {speed:.2f} fps', flush=True)
        path.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
        # a network with CUDA graphs refers to itself, and they hold memory
        del net, call
        gc.collect()
        torch.cuda.empty_cache()
    print(f'\n{_table(rows)}')
    print(f'{record["device"]}, torch {record["packages"]["torch"]}, commit {record["commit"]}: {path}')
    return 0


def _options(network: str, kind: str) -> dict:
    options = dict(NETWORKS[network])
    if options['type'] == 'GSMamba':
        recompute = {'use_checkpoint_attn': kind == 'train', 'use_checkpoint_ffn': kind == 'train'}
        options = recompute | options | {'cuda_graphs': torch.cuda.is_available() and kind != 'film'}
    return options


@contextmanager
def _grid_of(network: str) -> Iterator[None]:
    """BasicSR's own warp, where a network is named so; otherwise the plugin's, whose grid is made on the GPU."""
    if not network.endswith(HOST_GRID):
        yield
        return
    with ExitStack() as stack:
        for module in (basicvsr_arch, basicvsrpp_arch, spynet_arch):
            stack.enter_context(patch.object(module, 'flow_warp', inspect.unwrap(module.flow_warp)))
        yield


def _inference(net: torch.nn.Module, shape: tuple[int, ...], precision: str, device: torch.device):
    net.eval()
    clip = torch.rand(shape, device=device)

    def call() -> None:
        with torch.no_grad(), policy_for('inference', precision).running(device):
            net(clip)

    return call


def _restoring(net: torch.nn.Module, shape: tuple[int, ...], precision: str, device: torch.device):
    restorer = Restorer(net.eval(), 4, device=device, precision=precision)
    clip = torch.rand(shape, device=device)
    return lambda: restorer(clip)


def _filming(net: torch.nn.Module, shape: tuple[int, ...], precision: str, device: torch.device):
    _, frames, _, height, width = shape
    restorer = Restorer(net.eval(), 4, handling_of({'type': type(net).__name__}), device, precision)
    # goes when nobody calls any more
    folder = tempfile.TemporaryDirectory()
    write_film(Path(folder.name, 'film.mp4'), frames, height, width)

    def call() -> None:
        paths = (Path(folder.name, name) for name in ('film.mp4', 'large.mp4'))
        request = Request(*paths, window=restorer.frames_with_room, fit=True, overwrite=True)
        (outcome,) = run_requests([request], [restorer], Progress)
        if outcome.state != 'done':
            raise RuntimeError(outcome.text)

    return call


def _training(net: torch.nn.Module, shape: tuple[int, ...], precision: str, device: torch.device):
    net.train()
    clip = torch.rand(shape, device=device)
    gt = torch.rand(*shape[:3], 4 * shape[3], 4 * shape[4], device=device)

    policy = policy_for('training', precision)

    def call() -> None:
        net.zero_grad(set_to_none=True)
        with policy.multiplying_float32(device):
            with policy.autocasting(device):
                output = net(clip)
            torch.sqrt((output.to(policy.output) - gt) ** 2 + 1e-12).mean().backward()

    return call


KINDS = {'infer': _inference, 'restore': _restoring, 'film': _filming, 'train': _training}


def _split(work: str) -> tuple[str, str, int, int, int, int, str]:
    """Kind, network, clips at once (1 where none are named), frames, rows, columns and precision."""
    kind, network, size, precision = work.split(':')
    *batch, frames, height, width = (int(side) for side in size.split('x'))
    (batch,) = batch or [1]
    return kind, network, batch, frames, height, width, precision


def _table(rows: list[dict]) -> str:
    cells = [
        [
            row['work'],
            f'{row["median"] * 1e3:.1f}',
            f'{row["fastest"] * 1e3:.1f}-{row["slowest"] * 1e3:.1f}',
            f'{row["frames_per_second"]:.2f}',
            '-' if row['peak_gib'] is None else f'{row["peak_gib"]:.2f}',
        ]
        for row in rows
    ]
    return markdown_table(['work', 'median ms', 'range ms', 'fps', 'peak GiB'], cells)


def _works(text: str) -> list[str]:
    """The works of a set, or the one that is described."""
    if text in SETS:
        return SETS[text]
    try:
        kind, network, *sides, precision = _split(text)
    except ValueError:
        kind, network, sides, precision = '', '', [], ''
    if kind not in KINDS or precision not in PRECISIONS:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither one of {", ".join(SETS)} nor like infer:gsm:16x180x320:bf16, or with clips at once '
            'train:gsm-64:4x8x64x64:bf16'
        )
    if network not in NETWORKS:
        raise argparse.ArgumentTypeError(f'{network!r} is not one of {", ".join(NETWORKS)}')
    if min(sides) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} has {min(sides)} frames or pixels along a side; give 1 or more')
    return [text]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work', nargs='+', type=_works, help=f'{", ".join(SETS)}, or such as infer:gsm:16x180x320:bf16')
    parser.add_argument('--name', default='latest', help='file name of the record')
    parser.add_argument('--out', type=Path, default=ROOT / 'scripts/benchmark/records', help='folder of the record')
    parser.add_argument('--repeats', type=int, default=5, help='timed calls of each work')
    parser.add_argument('--no-search', action='store_true', help='cuDNN guesses its fastest convolutions: at once')
    parser.add_argument('--processor-time', action='store_true', help='on a CPU, leave out what other programs take')
    args = parser.parse_args()
    if args.processor_time and torch.cuda.is_available():
        parser.error('--processor-time is for a CPU, and there is a GPU, whose time it would not see')
    return args


if __name__ == '__main__':
    sys.exit(main())
