"""`basicsr data preview`: a page of pairs out of the training set of an option file, to be looked at."""

import argparse
import os
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import HTML_PAGE, check_replaceable
from gsm_plugin.numerals import whole_number


def add_preview(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command `preview`."""
    text = 'make a page of LQ and GT out of the training set of an option file, as the training would draw them'
    command = subparsers.add_parser('preview', help=text, description=text)
    command.add_argument('-opt', required=True, metavar='FILE', help='option file of a training, YAML')
    command.add_argument(
        '--out', type=Path, default=Path('preview.html'), metavar='FILE', help='page to write (default: preview.html)'
    )
    command.add_argument('--items', type=_count, default=24, metavar='N', help='number of pairs (default: 24)')
    command.add_argument('--seed', type=int, default=0, metavar='N', help='of what is drawn (default: 0)')
    command.add_argument(
        '--force_yml', nargs='+', action='extend', metavar='KEY:KEY=VALUE', help='replace options of the file'
    )
    command.set_defaults(run=preview)


def preview(arguments: argparse.Namespace) -> None:
    """Writes the page.

    Raises:
        UserError: The file, its data or a flag is wrong.
    """
    if not arguments.out.parent.is_dir():
        raise UserError(f'The folder {arguments.out.parent} does not exist; make it, or correct --out.')
    check_replaceable(arguments.out, '--out', HTML_PAGE)
    if arguments.seed < 0:
        raise UserError(f'--seed is {arguments.seed}; it needs a whole number from 0 up.')
    import gsm_plugin
    from gsm_plugin.pipelines import data_benchmark, data_preview

    gsm_plugin.register()
    dataset, section = data_benchmark.open_training_set(arguments, os.getcwd())
    title = f'{section["name"]}, of {Path(arguments.opt).name}'
    data_preview.write_preview(dataset, title, arguments.out, arguments.items, arguments.seed)
    print(f'{arguments.out}: {arguments.items} pairs')


def _count(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise argparse.ArgumentTypeError(f'{text} is no number from 1 up')
    return number
