"""`basicsr plot`: the curves of one or several trainings as a picture."""

import argparse
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.files import CURVES, check_replaceable, check_writable


def add_plot(subparsers: argparse._SubParsersAction) -> None:
    """Adds the command `plot`."""
    text = 'draw the loss and metric curves of trainings'
    command = subparsers.add_parser('plot', help=text, description=text)
    command.add_argument(
        'experiments', nargs='+', metavar='EXPERIMENT', help='name below experiments, folder or log file of a training'
    )
    command.add_argument(
        '-o', '--output', default='curves.png', metavar='FILE', help='the picture, PNG (default: %(default)s)'
    )
    command.set_defaults(run=plot)


def plot(arguments: argparse.Namespace) -> None:
    """Reads the logs and writes the picture.

    Raises:
        UserError: A log is missing or empty, the output is no PNG or would replace another one, or matplotlib is
            missing.
    """
    output = Path(arguments.output)
    if output.suffix.lower() != '.png':
        raise UserError(f'-o is {output}; the picture is a PNG, so give a name that ends in .png.')
    check_writable(output, '-o')
    check_replaceable(output, '-o', CURVES)
    try:
        from gsm_plugin.training.curves import draw_curves
        from gsm_plugin.training.training_log import read_training_log

        logs = [read_training_log(experiment) for experiment in arguments.experiments]
        draw_curves(logs, output)
    except OSError as error:
        raise UserError(f'{output} cannot be written or a log not be read: {error}.') from error
    for experiment, log in zip(arguments.experiments, logs, strict=True):
        if log.damaged:
            print(f'{experiment}: {log.damaged} damaged line(s) of the log are passed over.')
        for curve, (bad, points) in log.gaps().items():
            print(f'{experiment}: {bad} of {points} points of {curve} are no numbers (NaN or infinite) and left out.')
    print(f'Curves of {", ".join(log.name for log in logs)}: {output}')
