"""`basicsr compare`: networks on any clips."""

import argparse
from pathlib import Path

from gsm_plugin.pipelines.arguments import add_import


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'compare networks on any clips: make LQ frames, run, score, time'
    command = subparsers.add_parser('compare', help=text, description=text)
    command.add_argument(
        'place', type=Path, metavar='CLIP_OR_FOLDER', help='ground truth: video, images, or a folder of them'
    )
    add_networks(command)
    add_metrics(command)
    add_precision(command)
    command.add_argument(
        '--degradation', default='bi', metavar='KIND', help='bi, bd, or bd-duf: how LQ frames are made (default: bi)'
    )
    command.add_argument('--crf', type=float, metavar='X', help='encode LQ frames by H.264 with this quality, 0 to 51')
    command.add_argument('--scale', type=int, metavar='N', help='enlargement (default: that of the networks)')
    command.add_argument('--frames', type=int, metavar='N', help='take the first N frames of each clip')
    command.add_argument(
        '--shrink', type=int, default=1, metavar='N', help='first make the ground truth N times smaller, by area'
    )
    command.add_argument('--channel', choices=('rgb', 'y'), default='rgb', help='what is scored (default: rgb)')
    command.add_argument('--clips', nargs='+', metavar='NAME', help='take these clips of a folder')
    command.add_argument(
        '--out', type=Path, default=Path('results', 'compare'), metavar='FOLDER', help='default: results/compare'
    )
    add_import(command)
    command.set_defaults(run=_run)


def add_networks(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Adds `--networks`."""
    parser.add_argument(
        '--networks',
        nargs='+',
        required=required,
        default=[],
        metavar='NAME[=FILE]',
        help='bicubic, edvr, basicvsr, iconvsr, basicvsrpp, vrt, gsm, gsm-small, gsm-small-video, with =WEIGHTS.pth '
        'for other than the public weights; or LABEL=OPTIONS.yml for any network',
    )


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Adds `--metrics`."""
    parser.add_argument(
        '--metrics',
        nargs='+',
        default=[],
        metavar='NAME',
        help='score by some of lpips, dists, tof, tlp, mse_hidden, mse_shown too, besides PSNR and SSIM; lpips, dists '
        'and tlp need .[perceptual]',
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds `--precision`."""
    parser.add_argument(
        '--precision',
        choices=('fp32', 'tf32', 'bf16', 'fp16'),
        help='what networks are run in (default: fp32, or val: precision of an option file)',
    )


def _run(arguments: argparse.Namespace) -> None:
    import gsm_plugin
    from gsm_plugin.errors import UserError

    for name in ('scale', 'frames', 'shrink'):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f'--{name} is {value}; give a whole number from 1 up.')
    if arguments.crf is not None and not 0 <= arguments.crf <= 51:
        raise UserError(f'--crf is {arguments.crf:g}; give 0 (no loss) to 51 (the worst), as x264 takes it.')
    gsm_plugin.register()
    from gsm_plugin.scoring.clips import Reduction
    from gsm_plugin.scoring.comparison import Comparison, compare

    reduction = Reduction(arguments.degradation, arguments.scale, arguments.frames, arguments.shrink, arguments.crf)
    wanted = Comparison(
        arguments.place,
        arguments.networks,
        arguments.metrics,
        reduction,
        arguments.channel,
        arguments.precision,
        arguments.clips,
        arguments.out,
    )
    print(compare(wanted), end='')
