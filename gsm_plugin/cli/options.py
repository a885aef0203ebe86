"""`basicsr options`: the keys of option files, one of them in full, or the schema by which editors complete them."""

import argparse

from gsm_plugin.errors import UserError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'list the keys of option files with type, default and meaning; with KEY, all about one'
    command = commands.add_parser('options', help=text, description=text)
    command.add_argument(
        'key', nargs='?', metavar='KEY', help='such as train:accumulate_iter, accumulate_iter, or a section: train'
    )
    command.add_argument(
        '--schema',
        action='store_true',
        help='print a JSON schema: write it beside option files as schema.json, and editors complete their keys',
    )
    command.set_defaults(run=_options)


def _options(arguments: argparse.Namespace) -> None:
    # Here, so that --help and usage mistakes do not wait for PyTorch.
    from gsm_plugin.options import catalogue, schema

    if arguments.schema:
        if arguments.key is not None:
            raise UserError(f'--schema is of all keys, but {arguments.key} is given too; leave out one of them.')
        print(schema.schema_text(), end='')
    elif arguments.key is None:
        lines = dict.fromkeys(entry.lines for entry in catalogue.entries() if entry.text)
        print(*lines, sep='\n')
    else:
        print(*catalogue.describe(catalogue.find_key(arguments.key)), sep='\n')
