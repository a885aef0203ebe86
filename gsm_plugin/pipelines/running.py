"""Training and test by our loop, and our option parsing in place of BasicSR's in its own pipelines."""

import argparse
import importlib
import os
import sys
from collections import OrderedDict

import torch

from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.arguments import OneLineParser, add_run_arguments, end_program
from gsm_plugin.pipelines.preparing import prepare_options
from gsm_plugin.pipelines.testing import run_test
from gsm_plugin.pipelines.user_modules import import_user_modules
from gsm_plugin.training.loop_options import what_basicsr_leaves_out
from gsm_plugin.training.run import train


def run_pipeline(arguments: argparse.Namespace, root: str, is_train: bool) -> None:
    """Trains or tests.

    Args:
        arguments: BasicSR's flags, see `add_run_arguments`.
        root: Where `experiments`, `results` and `tb_logger` go.
        is_train: Whether to train or to test.

    Raises:
        UserError: Something in the file, the command line or the data is wrong; nothing was made or renamed then.
    """
    run = _run
    if 'TORCHELASTIC_ERROR_FILE' in os.environ:
        # So that torchrun names the process that failed first, with its traceback, below those of all others.
        from torch.distributed.elastic.multiprocessing.errors import record

        run = record(run)
    run(arguments, root, is_train)


def run_script(root: str, is_train: bool) -> None:
    """Trains or tests by the command line of the script that is running; ends the program as the command does.

    Args:
        root: Where `experiments`, `results` and `tb_logger` go.
        is_train: Whether to train or to test.

    Raises:
        SystemExit: With 2 after a mistake of the user, 130 after Ctrl+C.
    """
    arguments = _parse_arguments()
    try:
        import_user_modules(arguments.modules)
        run_pipeline(arguments, root, is_train)
    except UserError as error:
        end_program(str(error), status=2)
    except KeyboardInterrupt:
        end_program(f'{sys.argv[0]}: stopped.', status=130)


def _run(arguments: argparse.Namespace, root: str, is_train: bool) -> None:
    notes: list[str] = []
    options = prepare_options(arguments, root, is_train, notes.append)
    options['root_path'] = root
    (train if is_train else run_test)(options, arguments, notes)
    # not after an error: `end_program` uses the group, so that the process that failed speaks, and speaks once
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def take_over_parsing() -> None:
    """Makes BasicSR's pipelines use `parse_options` from here, for scripts that call them."""
    for name in ('basicsr.utils.options', 'basicsr.train', 'basicsr.test'):
        vars(importlib.import_module(name)).update(parse_options=parse_options)


def parse_options(root_path: str, is_train: bool = True) -> tuple[OrderedDict, argparse.Namespace]:
    """Stands in for BasicSR's function of that name: reads the command line of the script that is running.

    Ends the program with one sentence and status 2 where something is wrong, as a command line parser does.
    """
    arguments = _parse_arguments()
    try:
        import_user_modules(arguments.modules)
        options = prepare_options(arguments, root_path, is_train)
    except UserError as error:
        end_program(str(error), status=2)
    if is_train and options['rank'] == 0:
        for sentence in what_basicsr_leaves_out(options):
            print(sentence, flush=True)
    return options, arguments


def _parse_arguments() -> argparse.Namespace:
    parser = OneLineParser(prog=sys.argv[0])
    add_run_arguments(parser)
    return parser.parse_args()
