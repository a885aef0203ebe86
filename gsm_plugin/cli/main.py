"""Reads the command line and calls what it asks for; errors that the user can cure end in one sentence."""

import argparse
import io
import os
import sys
from collections.abc import Sequence

from gsm_plugin import __version__
from gsm_plugin.cli import compare, data_command, export, infer, leaderboard, options, study, weights
from gsm_plugin.cli.plot import add_plot
from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.arguments import OneLineParser, add_run_arguments, end_program
from gsm_plugin.training.machine_faults import explain


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the `basicsr` command.

    Args:
        arguments: The words after the command's name; None takes those of the process.

    Raises:
        SystemExit: With 2 after a mistake of the user, 1 where the doctor found something, 130 after Ctrl+C.
    """
    _let_threads_sleep()
    _print_any_name()
    parsed = _parser().parse_args(arguments)
    try:
        if getattr(parsed, 'modules', None):
            _import_modules(parsed.modules)
        parsed.run(parsed)
    except UserError as error:
        end_program(f'basicsr: {error}', status=2)
    except KeyboardInterrupt:
        end_program('basicsr: stopped.', status=130)
    except (OSError, RuntimeError, ImportError, MemoryError) as error:
        sentence = explain(error)
        if sentence is None and isinstance(error, ImportError):
            sentence = _broken_package()
        if sentence is None:
            raise
        end_program(f'basicsr: {sentence}', status=2)


def _print_any_name() -> None:
    """Lets names of files be printed that are no text, as Linux takes them."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
        sys.stdout.reconfigure(errors='backslashreplace')


def _let_threads_sleep() -> None:
    """Lets PyTorch's threads sleep at once while they wait for each other.

    At the end of each of thousands of small operations, a thread whose mate is not running, because others use the
    processor too, would otherwise burn its own time and that of the mate: two threads were ten times slower than one.
    OpenMP reads it when PyTorch is loaded.
    """
    if 'GOMP_SPINCOUNT' not in os.environ:
        os.environ.setdefault('OMP_WAIT_POLICY', 'passive')


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog='basicsr', description='Train and test BasicSR networks, those of gsm_plugin among them.'
    )
    parser.add_argument('--version', action='version', version=f'gsm_plugin {__version__}')
    commands = parser.add_subparsers(required=True, metavar='COMMAND', dest='command')
    for name, run, text in (
        ('train', _train, 'train a network; experiments and tb_logger go below the working directory'),
        ('test', _test, 'test a network; results go below the working directory'),
    ):
        command = commands.add_parser(name, help=text, description=text)
        add_run_arguments(command)
        if name == 'test':
            compare.add_precision(command)
        command.set_defaults(run=run)
    add_plot(commands)
    text = 'print versions, devices and backends, and what is wrong with its cure'
    commands.add_parser('doctor', help=text, description=text).set_defaults(run=_doctor)
    for module in (data_command, weights, compare, leaderboard, study, infer, export, options):
        module.add_parser(commands)
    return parser


def _broken_package() -> str | None:
    """The first package that is needed and cannot be imported; None where the fault is another one."""
    from gsm_plugin.cli.ailments import why_broken

    broken = next(why_broken(), None)
    return broken and f'{broken} (basicsr doctor looks for more.)'


def _train(arguments: argparse.Namespace) -> None:
    _run(arguments, is_train=True)


def _test(arguments: argparse.Namespace) -> None:
    if arguments.precision is not None:
        arguments.force_yml = [*(arguments.force_yml or ()), f'val:precision={arguments.precision}']
    _run(arguments, is_train=False)


def _run(arguments: argparse.Namespace, is_train: bool) -> None:
    # Here, so that --help and usage mistakes do not wait for PyTorch.
    import gsm_plugin
    from gsm_plugin.pipelines.running import run_pipeline

    gsm_plugin.register()
    run_pipeline(arguments, os.getcwd(), is_train)


def _import_modules(modules: Sequence[str]) -> None:
    import gsm_plugin

    gsm_plugin.register()
    from gsm_plugin.pipelines.user_modules import import_user_modules

    import_user_modules(modules)


def _doctor(arguments: argparse.Namespace) -> None:
    from gsm_plugin.cli.doctor import examine

    raise SystemExit(examine())
