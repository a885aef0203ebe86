"""What a trained network's flows are worth, and what gradients its flow network gets: `python scripts/study_flow.py`.

Each part prints a table:
- gradients: gradients of the loss to the flows and to the flow network, of all and of gather and scatter apart, in each
  precision, against the naive network in float64; beside them finite differences of the loss along a few directions.
- saw: the loss, its derivative and the photometric error over a constant shift of all flows (and a chart).
- noise: mean over standard deviation of gradients over batches, and which frequencies of the encoding carry them.
- worth: PSNR and photometric error of clips with the flows as they are, with none, and with those of another clip.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch
import yaml
from torch import Tensor

from gsm_plugin.archs import gsm_arch
from gsm_plugin.archs.flow_estimation import build_spynet, estimate_flows
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.evaluation.flow_health import measure_flows
from gsm_plugin.evaluation.tables import markdown_table
from gsm_plugin.inference.precision import autocast
from gsm_plugin.ops import flow as flow_composition
from gsm_plugin.ops._common.sinusoids import encode, wavelengths
from gsm_plugin.ops.fraction_encoding.torch_impl import _angles

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
NAIVE = {f'{op}_backend': 'naive' for op in ('scan', 'warp', 'attention')}
PATHS = ('all', 'gather', 'scatter', 'all, composition apart')


def main() -> None:
    args = _parse()
    options = yaml.safe_load(args.opt.read_text(encoding='utf-8'))['network_g']
    options = {key: value for key, value in options.items() if key not in ('type', 'spynet_path', 'cuda_graphs')}
    content = torch.load(args.weights, map_location='cpu', weights_only=True)
    weights = content.get('params_ema') or content['params']

    def network(**changes) -> GSMamba:
        net = GSMamba(**options, **changes)
        net.load_state_dict(weights)
        return net.to(DEVICE)

    clips = {
        path.name: _read_clip(args.clips, path.name, args.frames) for path in sorted((args.clips / 'LQ').iterdir())
    }
    for part in args.parts:
        globals()[f'_{part}'](args, network, clips)
    place = torch.cuda.get_device_name() if DEVICE == 'cuda' else 'CPU'
    print(f'{place}, torch {torch.__version__}, {args.weights}, {", ".join(args.parts)}')


def _gradients(args: argparse.Namespace, network: Callable[..., GSMamba], clips: dict) -> None:
    name, (lq, gt) = next(iter(clips.items()))
    lq, gt = _crop(lq, gt, args.crop, args.gradient_frames)
    exact = {path: _gradients_of(network(**NAIVE).double(), lq.double(), gt.double(), 'fp32', path) for path in PATHS}
    rows = []
    for path in PATHS:
        share = [f'{exact[path][key].norm() / exact["all"][key].norm():.3f}' for key in ('flows', 'network')]
        rows.append(
            [path, *share, *(f'{_cosine(exact[path][key], exact["all"][key]):.3f}' for key in ('flows', 'network'))]
        )
    print(f'Float64, {name}, crop {args.crop}: norms over those of all, cosines with all\n')
    print(markdown_table(['way', 'flows', 'flow network', 'cosine, flows', 'cosine, network'], rows))
    rows = []
    for precision in ('fp32', 'bf16') if DEVICE == 'cuda' else ('fp32',):
        for graphs in (False, True) if DEVICE == 'cuda' else (False,):
            for path in PATHS[: 1 if graphs else 3]:
                found = _gradients_of(network(cuda_graphs=graphs), lq, gt, precision, path)
                for key in ('flows', 'network'):
                    actual, wanted = found[key].double(), exact[path][key]
                    ratio = f'{actual.norm() / wanted.norm():.4f}'
                    rows.append([precision, str(graphs).lower(), path, key, f'{_cosine(actual, wanted):.5f}', ratio])
    print('\nAgainst the naive network in float64\n')
    print(markdown_table(['precision', 'graphs', 'way', 'gradient to', 'cosine', 'norm over norm'], rows))
    _finite_differences(
        network(scan_backend='torch', warp_backend='torch', attention_backend='torch').double(),
        lq.double(),
        gt.double(),
        exact['all']['flows'],
    )


def _gradients_of(net: GSMamba, lq: Tensor, gt: Tensor, precision: str, path: str) -> dict[str, Tensor]:
    flows = net.estimate_flows(lq)
    leaves = [flow.detach().requires_grad_() for flow in flows]
    # the graphs take the enhancement, which is called as forward calls it
    with _only(path), autocast(precision, lq.device):
        output = net._enhance(lq, *leaves)
    to_flows = torch.autograd.grad(_loss(output.to(gt.dtype), gt), leaves)
    to_network = torch.autograd.grad(flows, list(net.spynet.parameters()), to_flows)
    return {'flows': torch.stack(to_flows).flatten(), 'network': torch.cat([one.flatten() for one in to_network])}


def _finite_differences(net: GSMamba, lq: Tensor, gt: Tensor, gradient: Tensor) -> None:
    with torch.no_grad():
        flows = torch.stack(net.estimate_flows(lq))
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.randn(flows.flatten(0, 2).shape[0], 2, 4, 4, dtype=flows.dtype, device=flows.device),
        flows.shape[-2:], mode='bicubic', align_corners=True,
    ).view(flows.shape)  # fmt: skip
    directions = {
        'x, with the motion': torch.stack((_unit(flows[0], 0), -_unit(flows[1], 0))),
        'y, with the motion': torch.stack((_unit(flows[0], 1), -_unit(flows[1], 1))),
        'smooth, random': smooth / smooth.square().mean().sqrt(),
        'the gradient': gradient.view(flows.shape) / gradient.square().mean().sqrt(),
    }
    rows = []
    for name, direction in directions.items():
        analytic = (gradient.view(flows.shape) * direction).sum().item()
        row = [name, f'{analytic:+.3e}']
        for step in (1e-6, 1e-4, 1e-2, 1 / 16, 1 / 4, 1 / 2, 1):
            with torch.no_grad():
                ahead, behind = (_loss(net.enhance(lq, *(flows + s * step * direction)), gt) for s in (1, -1))
            row.append(f'{((ahead - behind) / (2 * step)).item():+.3e}')
        rows.append(row)
    print(
        '\nDerivative of the loss along directions of the flows (root mean square 1 pixel): by the gradient, and by '
        'central differences over steps in pixels\n'
    )
    print(markdown_table(['direction', 'gradient', '1e-6', '1e-4', '1e-2', '1/16', '1/4', '1/2', '1'], rows))


def _saw(args: argparse.Namespace, network: Callable[..., GSMamba], clips: dict) -> None:
    from matplotlib.figure import Figure

    shifts = torch.arange(0, 3 + 1e-9, 1 / args.saw_steps).tolist()
    figure = Figure((10, 3.2 * len(clips)), layout='constrained')
    axes = figure.subplots(len(clips), 3, squeeze=False)
    net = network()
    for row, (name, (lq, gt)) in zip(axes, clips.items(), strict=True):
        lq, gt = _crop(lq, gt, args.saw_crop, args.gradient_frames)
        with torch.no_grad():
            flows = torch.stack(net.estimate_flows(lq))
        direction = torch.stack((_unit(flows[0], 0), -_unit(flows[1], 0)))
        table = []
        for shift in shifts:
            leaves = (flows + shift * direction).detach().requires_grad_()
            loss = _loss(net.enhance(lq, *leaves), gt)
            (gradient,) = torch.autograd.grad(loss, leaves)
            health = measure_flows(lq, *leaves.detach())
            table.append((loss.item(), (gradient * direction).sum().item(), health.error))
        loss, slope, error = np.array(table).T
        inside = np.diff(loss) * args.saw_steps
        print(f'{name}: loss {loss[0]:.5f} at 0, {loss[args.saw_steps]:.5f} at 1, {loss[-1]:.5f} at 3 pixels')
        for title, slopes in (('by differences', inside), ('by the gradient', slope[:-1])):
            each = ', '.join(f'{value:+.1e}' for value in slopes.reshape(3, -1).mean(1))
            print(f'  mean slope {title} {slopes.mean():+.2e}; of each pixel {each}')
        for axis, values, title in zip(
            row, (loss, slope, error), ('loss', 'its derivative', 'photometric error'), strict=True
        ):
            axis.plot(shifts, values, marker='.', markersize=2)
            if title == 'its derivative':
                axis.plot(np.array(shifts[1:]) - 0.5 / args.saw_steps, inside)
            axis.set_title(f'{name}: {title}', fontsize=9)
    args.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out / 'saw.png', dpi=120)


def _noise(args: argparse.Namespace, network: Callable[..., GSMamba], clips: dict) -> None:
    net = network()
    groups = {'flow network': [], 'implicit warp': [], 'scan': [], 'the rest': []}
    for key, value in net.named_parameters():
        group = (
            'flow network'
            if 'spynet' in key
            else 'implicit warp'
            if 'implicit_align' in key
            else 'scan'
            if 'mamba' in key
            else 'the rest'
        )
        groups[group].append(value)
    sums, squares = defaultdict(float), defaultdict(float)
    waves = _Frequencies()
    for lq, gt in _batches(args):
        net.zero_grad()
        with waves.listening(), autocast(args.precision, lq.device):
            output = net(lq)
        _loss(output.float(), gt).backward()
        for group, values in groups.items():
            gradient = torch.cat([value.grad.flatten() for value in values]).double()
            sums[group] = sums[group] + gradient
            squares[group] = squares[group] + gradient.square()
    rows = []
    for group, total in sums.items():
        mean = total / args.batches
        variance = (squares[group] / args.batches - mean.square()).clamp_min(0) * args.batches / (args.batches - 1)
        signal = (mean.square().sum() - variance.sum() / args.batches).clamp_min(0).sqrt()
        rows.append(
            [
                group,
                f'{mean.norm():.2e}',
                f'{variance.sum().sqrt():.2e}',
                f'{mean.norm() / variance.sum().sqrt():.3f}',
                f'{signal / variance.sum().sqrt():.3f}',
            ]
        )
    print(f'\nGradients over {args.batches} batches (pure noise has a ratio of {args.batches**-0.5:.3f})\n')
    print(markdown_table(['group', 'norm of the mean', 'standard deviation', 'ratio', 'without what noise adds'], rows))
    waves.report()


class _Frequencies:
    """The gradient to the flows through each frequency of the encoded fraction."""

    def __init__(self) -> None:
        self.sizes, self.means = [], []

    @contextmanager
    def listening(self) -> Iterator[None]:
        def encoded(target: Tensor, flow: Tensor, dtype: torch.dtype, backend: str = 'auto') -> Tensor:
            encoding = encode(*_angles(flow.float()), target.shape[3])
            if encoding.requires_grad:
                encoding.register_hook(lambda gradient: self._take(gradient, encoding.detach()))
            return (target[:, None] + encoding.unflatten(0, (len(target), -1))).flatten(0, 1).to(dtype)

        self._size, self._mean, self._count = 0.0, 0.0, 0
        with mock.patch('gsm_plugin.layers.implicit_warp.fraction_encoding', encoded):
            yield

    def _take(self, gradient: Tensor, encoding: Tensor) -> None:
        channels = gradient.shape[-1]
        pairs = encoding.unflatten(-1, (-1, 2))
        slope = torch.stack((pairs[..., 1], -pairs[..., 0]), -1).flatten(-2).unflatten(-1, (2, -1))
        slope = slope / wavelengths(channels, gradient.device)
        parts = (gradient.unflatten(-1, (2, -1)) * slope).unflatten(-1, (-1, 2)).sum(-1) * torch.pi
        self.sizes.append(parts.square().flatten(0, -2).mean(0).sqrt())
        self.means.append(parts.flatten(0, -3).sum(0).mean(0))

    def report(self) -> None:
        if not self.sizes:
            return
        size = torch.stack(self.sizes).mean(0)
        means = torch.stack(self.means)
        ratio = means.mean(0).abs() / means.std(0)
        turns = 0.5 / wavelengths(4 * len(size), size.device)[::2]
        rows = [
            [f'{t:.2f}', f'{s / size.sum():.1%}', f'{r:.3f}']
            for t, s, r in zip(turns.tolist(), size.tolist(), ratio.tolist(), strict=True)
        ]
        print('\nThrough each frequency of the encoded fraction\n')
        print(markdown_table(['turns a pixel', 'share of the gradient to flows', 'mean over deviation'], rows))


@torch.no_grad()
def _worth(args: argparse.Namespace, network: Callable[..., GSMamba], clips: dict) -> None:
    net = network().eval()
    reference = build_spynet(args.spynet).to(DEVICE) if args.spynet else None
    flows = {name: net.estimate_flows(lq) for name, (lq, _) in clips.items()}
    rows = []
    for name, (lq, gt) in clips.items():
        health = measure_flows(lq, *flows[name])
        own = measure_flows(lq, *estimate_flows(reference, lq)) if reference else None
        others = [_fit(flow, lq) for other, pair in flows.items() if other != name for flow in pair][:2]
        sets = {'own': flows[name], 'none': [torch.zeros_like(flow) for flow in flows[name]], 'other': others}
        psnrs = [_psnr(net.enhance(lq, *some), gt) for some in sets.values() if some]
        rows.append(
            [
                name,
                *(f'{x:.3f}' for x in psnrs),
                f'{health.mean_length:.3f}',
                f'{health.error:.5f}',
                f'{own.error:.5f}' if own else '',
                f'{health.error_of_no_motion:.5f}',
            ]
        )
    print(
        markdown_table(
            [
                'clip',
                'PSNR, own flows',
                'none',
                "another clip's",
                'mean flow, px',
                'photometric error',
                "SPyNet's",
                'no motion',
            ],
            rows,
        )
    )


def _fit(flow: Tensor, lq: Tensor) -> Tensor:
    """Another clip's flow, repeated or cut to the size of a clip."""
    h, w = lq.shape[-2:]
    tiles = -(-h // flow.shape[-2]), -(-w // flow.shape[-1])
    return flow.repeat(1, 1, 1, *tiles)[..., :h, :w][:, : lq.shape[1] - 1]


@contextmanager
def _only(path: str) -> Iterator[None]:
    """Lets the flows get gradients by one way alone."""
    compose, warp = gsm_arch.compose_window_flows, flow_composition.flow_warp

    def composed(*args) -> tuple[Tensor, Tensor]:
        gather, scatter = compose(*args)
        return gather if path != 'scatter' else gather.detach(), scatter if path != 'gather' else scatter.detach()

    def warped(x: Tensor, flow: Tensor, *args) -> Tensor:
        return warp(x, flow.detach() if 'composition' in path else flow, *args)

    with (
        mock.patch.object(gsm_arch, 'compose_window_flows', composed),
        mock.patch.object(flow_composition, 'flow_warp', warped),
    ):
        yield


def _batches(args: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor]]:
    from gsm_plugin.data.video_folders_dataset import VideoFoldersDataset

    root = args.train
    dataset = VideoFoldersDataset(
        {
            'name': 'study',
            'phase': 'train',
            'scale': 4,
            'dataroot_gt': f'{root}/GT',
            'dataroot_lq': f'{root}/LQ',
            'num_frame': args.gradient_frames,
            'gt_size': 192,
            'use_hflip': True,
            'use_rot': True,
        }
    )
    loader = torch.utils.data.DataLoader(
        dataset, args.batch_size, shuffle=True, num_workers=args.workers, drop_last=True
    )
    count = 0
    while True:
        for batch in loader:
            if count == args.batches:
                return
            count += 1
            yield batch['lq'].to(DEVICE), batch['gt'].to(DEVICE)


def _loss(output: Tensor, gt: Tensor) -> Tensor:
    return ((output - gt).square() + 1e-12).sqrt().mean()


def _unit(flow: Tensor, axis: int) -> Tensor:
    unit = torch.zeros_like(flow)
    unit[:, :, axis] = 1
    return unit


def _cosine(one: Tensor, other: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one.double(), other.double(), 0).item()


def _crop(lq: Tensor, gt: Tensor, side: int, frames: int) -> tuple[Tensor, Tensor]:
    top, left = ((size - side) // 2 if size > side else 0 for size in lq.shape[-2:])
    lq = lq[:, :frames, :, top : top + side, left : left + side]
    return lq, gt[:, :frames, :, 4 * top : 4 * (top + side), 4 * left : 4 * (left + side)]


def _psnr(output: Tensor, gt: Tensor) -> float:
    rounded = (output.clamp(0, 1) * 255).round() / 255
    return (-10 * torch.log10((rounded - gt).square().mean((0, 2, 3, 4)))).mean().item()


def _read_clip(root: Path, name: str, frames: int) -> tuple[Tensor, Tensor]:
    def read(kind: str) -> Tensor:
        images = [cv2.imread(str(path))[..., ::-1] for path in sorted((root / kind / name).iterdir())[:frames]]
        return torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy())[None].float().to(DEVICE) / 255

    return read('LQ'), read('GT')


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='+', choices=('gradients', 'saw', 'noise', 'worth'))
    parser.add_argument('--opt', type=Path, required=True, help='option file of the training, for its network_g')
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--clips', type=Path, required=True, help='folder with LQ and GT, each with folders of frames')
    parser.add_argument('--train', type=Path, help='the same of training clips, for noise')
    parser.add_argument('--spynet', type=Path, help='the flow network as it was loaded, for worth')
    parser.add_argument('--frames', type=int, default=15)
    parser.add_argument('--gradient-frames', type=int, default=7)
    parser.add_argument('--crop', type=int, default=32)
    parser.add_argument('--saw-crop', type=int, default=64)
    parser.add_argument('--saw-steps', type=int, default=16, help='of a pixel')
    parser.add_argument('--batches', type=int, default=64)
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--workers', type=int, default=8)
    parser.add_argument('--precision', default='fp32')
    parser.add_argument('--out', type=Path, default=Path('results/study_flow'))
    return parser.parse_args()


if __name__ == '__main__':
    main()
