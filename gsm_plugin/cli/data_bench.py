"""`basicsr data bench`: how fast the training set of an option file is read here, by how many workers."""

import argparse
import os
from collections.abc import Callable

from gsm_plugin.errors import UserError
from gsm_plugin.numerals import is_plain, whole_number

_ENOUGH = 0.05


def add_bench(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command `bench`."""
    text = 'measure how fast the training set of an option file is read, by numbers of worker processes'
    command = subparsers.add_parser('bench', help=text, description=text)
    command.add_argument('-opt', required=True, metavar='FILE', help='option file of a training, YAML')
    command.add_argument(
        '--workers', nargs='+', type=_count, metavar='N', help='numbers of worker processes (default: 0, 1, 2, 4, ...)'
    )
    command.add_argument(
        '--seconds',
        type=above_0('number of seconds'),
        default=10.0,
        metavar='S',
        help='how long each is measured (default: 10)',
    )
    command.add_argument(
        '--step',
        type=above_0('number of seconds'),
        metavar='S',
        help='seconds of a training step: measure how long steps wait for data',
    )
    command.add_argument(
        '--cold', action='store_true', help="drop the files from the system's memory before each measurement (Linux)"
    )
    command.add_argument(
        '--force_yml', nargs='+', action='extend', metavar='KEY:KEY=VALUE', help='replace options of the file'
    )
    command.set_defaults(run=bench)


def bench(arguments: argparse.Namespace) -> None:
    """Measures, and prints a line for each number of workers.

    Raises:
        UserError: The file, its data or a flag is wrong.
    """
    if arguments.cold and not hasattr(os, 'posix_fadvise'):
        raise UserError('--cold needs Linux; leave it out.')
    # Here, so that --help and usage mistakes do not wait for PyTorch.
    import gsm_plugin
    from gsm_plugin.pipelines import data_benchmark

    gsm_plugin.register()
    dataset, section = data_benchmark.open_training_set(arguments, os.getcwd())
    per_batch = section['batch_size_per_gpu']
    print(f'{len(dataset)} samples, {per_batch} in a batch{", files dropped first" if arguments.cold else ""}')
    print(f'{"workers":>7} {"samples/s":>10} {"wait a step":>12} {"of its time":>11} {"start":>8}  memory')
    enough = []
    for workers in arguments.workers or _powers_of_two():
        if arguments.cold:
            data_benchmark.forget_files(section)
        found = data_benchmark.measure_loading(dataset, section, workers, arguments.seconds, arguments.step or 0.0)
        print(_line(found), flush=True)
        enough += [workers] if arguments.step and found.wait_share < _ENOUGH else []
    print(_advice(arguments.step, enough))


def _line(found) -> str:
    share = f'{100 * found.wait_share:.1f} %' if found.step_s else '-'
    memory = '-' if found.memory_gib is None else f'{found.memory_gib[0]:.2f} to {found.memory_gib[1]:.2f} GiB'
    times = f'{1000 * found.wait_s:>9.1f} ms {share:>11} {found.start_s:>6.1f} s'
    return f'{found.workers:>7} {found.samples_per_s:>10.2f} {times}  {memory}'


def _advice(step: float | None, enough: list[int]) -> str:
    if step is None:
        return 'wait a step: for a step that takes no time itself; give --step SECONDS for yours.'
    if not enough:
        return f'Steps of {step:g} s wait for data with any of these; try more workers, an LMDB or a faster disk.'
    return (
        f'With num_worker_per_gpu: {min(enough)}, steps of {step:g} s wait less than {100 * _ENOUGH:.0f} % of the time.'
    )


def _powers_of_two() -> list[int]:
    most = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return [0, *(2**power for power in range(most.bit_length()))]


def _count(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise argparse.ArgumentTypeError(f'{text} is no number of processes')
    return number


def above_0(what: str) -> Callable[[str], float]:
    """Reads a finite number above 0 of a command line; what it is, for the sentence."""

    def read(text: str) -> float:
        try:
            value = float(text) if is_plain(text) else 0.0
        except ValueError:
            value = 0.0
        if not 0 < value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text} is no {what} above 0')
        return value

    return read
