"""`basicsr study`: variants of an option file, trained with several seeds and compared with error bars."""

import argparse
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.arguments import add_import


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command."""
    text = 'train variants of an option file with several seeds, and compare them with error bars'
    command = subparsers.add_parser('study', help=text, description=text)
    command.add_argument('file', type=Path, metavar='STUDY.yml', help='name, options, seeds, variants, score')
    command.add_argument(
        '--beside', type=int, default=1, metavar='N', help='trainings at once, on one device (default: 1)'
    )
    add_import(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    import gsm_plugin

    if arguments.beside < 1:
        raise UserError(f'--beside is {arguments.beside}; give a whole number from 1 up.')
    gsm_plugin.register()
    from gsm_plugin.studies.ablation.study import run_study

    if not run_study(arguments.file, arguments.beside, arguments.modules, print):
        raise SystemExit(1)
