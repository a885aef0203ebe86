"""`basicsr leaderboard`: published figures, ours and the difference."""

import argparse
from pathlib import Path

from gsm_plugin.cli.compare import add_metrics, add_networks, add_precision
from gsm_plugin.pipelines.arguments import add_import

_NAMES = ('reds4', 'vid4', 'vimeo90k-t', 'udm10')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'reproduce a leaderboard: published figures, ours and the difference in one table'
    command = subparsers.add_parser('leaderboard', help=text, description=text)
    command.add_argument('name', choices=_NAMES, help='the leaderboard')
    command.add_argument('--degradation', choices=('bi', 'bd'), help='default: bi, and bd for udm10')
    add_networks(command, required=False)
    add_metrics(command)
    add_precision(command)
    command.add_argument('--clips', nargs='+', metavar='NAME', help='run these clips, others on another machine')
    command.add_argument(
        '--merge', nargs='+', type=Path, default=[], metavar='PLACE', help='records of other machines, or their folders'
    )
    command.add_argument(
        '--datasets', type=Path, default=Path('datasets'), metavar='FOLDER', help='folder of data sets (datasets)'
    )
    command.add_argument(
        '--partial', action='store_true', help='accept fewer clips and frames; the figures are not comparable then'
    )
    command.add_argument('--out', type=Path, metavar='FOLDER', help='default: results/leaderboard_NAME_DEGRADATION')
    add_import(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    import gsm_plugin

    gsm_plugin.register()
    from gsm_plugin.data.protocols import PROTOCOLS
    from gsm_plugin.scoring.leaderboard import Leaderboard, reproduce

    degradation = arguments.degradation or ('bd' if arguments.name == 'udm10' else 'bi')
    wanted = Leaderboard(
        PROTOCOLS[arguments.name],
        degradation,
        arguments.networks,
        arguments.metrics,
        arguments.precision,
        arguments.clips,
        arguments.merge,
        arguments.datasets,
        arguments.partial,
        arguments.out or Path('results', f'leaderboard_{arguments.name}_{degradation}'),
    )
    print(reproduce(wanted), end='')
