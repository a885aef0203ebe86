"""`basicsr export`: a network for other runtimes."""

import argparse
import re
from pathlib import Path

from gsm_plugin.cli.network_options import add_network, network_options


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'write a network as ONNX or as a program of torch.export, run the file, and compare it with the network'
    command = subparsers.add_parser('export', help=text, description=text)
    command.add_argument('weights', metavar='WEIGHTS', help='file of weights, or name in basicsr weights list')
    command.add_argument('out', type=Path, metavar='OUT', help='file to write: .onnx or .pt2')
    command.add_argument('--frames', type=int, required=True, metavar='T', help='frames of the clip')
    command.add_argument('--size', required=True, metavar='HxW', help='height and width of a frame')
    command.add_argument(
        '--stacked', action='store_true', help='frames as channels, (1, 3 T, H, W), as vs-mlrt feeds them'
    )
    command.add_argument(
        '--open', action='store_true', help='leave height and width open, where that holds on a second size; slow'
    )
    command.add_argument('--opset', type=int, metavar='N', help="version of ONNX's operators (default: 20)")
    command.add_argument(
        '--clip', type=Path, metavar='FILM', help='film or folder to compare on (default: a photograph that moves)'
    )
    add_network(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from gsm_plugin.errors import UserError
    from gsm_plugin.export.export import Wanted, export
    from gsm_plugin.export.tracing import Form

    sides = re.fullmatch('([0-9]{1,9})x([0-9]{1,9})', arguments.size)
    if sides is None:
        raise UserError(f'--size is {arguments.size!r}; write height and width, such as --size 180x320.')
    form = Form(arguments.frames, int(sides[1]), int(sides[2]), arguments.stacked, arguments.open)
    network = network_options(arguments.network)
    export(Wanted(arguments.weights, arguments.out, form, network, arguments.opset, arguments.clip))
