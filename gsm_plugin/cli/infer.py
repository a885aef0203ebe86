"""`basicsr infer`: a film in, a sharper film out."""

import argparse
from pathlib import Path

from gsm_plugin.cli.network_options import add_network
from gsm_plugin.pipelines.arguments import add_import


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'enlarge films and folders of images by a network; sound, subtitles and time stamps are kept'
    command = subparsers.add_parser('infer', help=text, description=text)
    _add_places(command)
    _add_network(command)
    _add_part(command)
    _add_plan(command)
    _add_encoder(command)
    add_import(command)
    command.set_defaults(run=_run)


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '-i',
        '--input',
        nargs='+',
        action='extend',
        required=True,
        metavar='FILM',
        help='films, folders of images, or patterns (*.mp4)',
    )
    command.add_argument(
        '-o',
        '--output',
        type=Path,
        metavar='OUT',
        help='film to write (.mp4, .mkv, ...) or folder (default: results/film_x4.mp4 for film.mp4, and results/frames '
        'for frames/)',
    )
    command.add_argument('--suffix', metavar='TEXT', help='goes behind names in a folder (default: x4 or alike)')
    command.add_argument('--ext', metavar='KIND', help='write images: png, jpg, webp, tif (default: that of the input)')
    command.add_argument('--overwrite', action='store_true', help='replace an output that is there')
    command.add_argument('--restart', action='store_true', help='do not go on from an interrupted run')


def _add_network(command: argparse.ArgumentParser) -> None:
    weights = command.add_mutually_exclusive_group()
    weights.add_argument(
        '-n',
        '--name',
        metavar='NAME',
        help='name in basicsr weights list (default: gsm-small-x4-video, which comes along)',
    )
    weights.add_argument('-w', '--weights', type=Path, metavar='FILE', help='file of weights')
    add_network(command)
    command.add_argument(
        '--device', default='auto', metavar='NAME', help='auto, cpu, cuda, cuda:1, mps (default: auto)'
    )
    command.add_argument('--devices', metavar='A,B', help='several devices, which share the segments')
    command.add_argument(
        '--precision', default='auto', metavar='NAME', help='auto, fp32, tf32, bf16, fp16 (default: auto)'
    )
    command.add_argument('-s', '--outscale', type=float, metavar='X', help="enlargement (default: the network's own)")
    command.add_argument('-t', '--tile', type=int, metavar='N', help='side of tiles (default: 0, no tiles)')
    command.add_argument(
        '--tile_pad', '--tile-pad', type=int, metavar='N', help='pixels seen around a tile (default: 32)'
    )
    command.add_argument(
        '--tile-rule',
        metavar='NAME',
        help='blended, or published (that of the testers of VRT and GSM; default: blended)',
    )
    command.add_argument(
        '--self-ensemble', action='store_true', help='average the outputs for eight flips and rotations; 8 times slower'
    )


def _add_part(command: argparse.ArgumentParser) -> None:
    command.add_argument('--start', metavar='TIME', help='begin there: 80.5 or 1:20.5')
    command.add_argument('--end', metavar='TIME', help='end there')
    command.add_argument('--preview', metavar='5s@1:20', help='five seconds from 1:20 on')
    command.add_argument('--fps', metavar='N', help='frames a second of the output, 30 or 30000/1001')


def _add_plan(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        '--window',
        type=int,
        metavar='N',
        help='most frames that the network sees at once (default: 96 for GSM, 320 on a GPU; else 32)',
    )
    command.add_argument(
        '--context', type=int, default=8, metavar='N', help='frames seen beyond those that are kept (default: 8)'
    )
    command.add_argument(
        '--memory', metavar='8GiB', help='memory that the network may take: windows and tiles are made to fit'
    )
    command.add_argument(
        '--retry-smaller', action='store_true', help='where memory ends, begin anew with smaller windows'
    )
    command.add_argument(
        '--cuts', type=Path, metavar='FILE', help="scenes' first frames or times, one a line, instead of the search"
    )
    command.add_argument('--cut-threshold', type=float, metavar='X', help='lower finds more cuts (default: 3)')
    command.add_argument('--no-cuts', action='store_true', help='take the film for one scene')
    command.add_argument('--deinterlace', action='store_true', help='make whole frames of fields (bwdif)')
    command.add_argument('--salvage', action='store_true', help='leave out what cannot be decoded')
    command.add_argument('--compare', action='store_true', help='put the input, enlarged by bicubic, beside the output')
    command.add_argument('--dry-run', action='store_true', help='print the plan and stop')
    command.add_argument(
        '--page', type=Path, metavar='FILE.html', help='write a page with a slider between before and after'
    )
    command.add_argument(
        '--report', type=Path, metavar='FILE.json', help='write versions, input, plan, times and log, for an issue'
    )
    command.add_argument('--json', action='store_true', help='print lines of JSON')


def _add_encoder(command: argparse.ArgumentParser) -> None:
    command.add_argument('--codec', metavar='NAME', help='encoder (default: libx264; libx265 for more than 8 bits)')
    command.add_argument('--crf', type=float, metavar='X', help='quality, lower is better (default: 18)')
    command.add_argument('--preset', metavar='NAME', help='speed against size (default: medium)')
    command.add_argument('--pix-fmt', metavar='NAME', help='pixel format (default: 4:2:0 in the depth of the input)')
    command.add_argument(
        '--encoder-option', action='append', default=[], metavar='K=V', help='any option of the encoder'
    )
    command.add_argument(
        '--leave-out',
        nargs='+',
        action='extend',
        default=[],
        metavar='WHAT',
        help='audio, subtitle, attachment, or numbers of streams',
    )


def _run(arguments: argparse.Namespace) -> None:
    from gsm_plugin.cli.infer_run import infer

    raise SystemExit(infer(arguments))
