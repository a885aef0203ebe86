"""The flag `--network`: what a file of weights does not tell."""

import argparse
from collections.abc import Sequence

from gsm_plugin.errors import UserError


def add_network(parser: argparse.ArgumentParser) -> None:
    """Adds `--network`."""
    parser.add_argument(
        '--network',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='what the file of weights does not tell, as in network_g of an option file: pa_frame=1 anchor=forward',
    )


def network_options(words: Sequence[str]) -> dict[str, object]:
    """Arguments of the network, read as an option file has them.

    Raises:
        UserError: A word is no KEY=VALUE, a key is named twice, or YAML cannot read its value.
    """
    import yaml

    options: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not (key and equals and value):
            raise UserError(f'--network {word!r} is no KEY=VALUE; write for example --network pa_frame=1.')
        if key in options:
            raise UserError(f'--network {word!r} names {key} for the second time; leave out one of them.')
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f'--network {word!r} has a value that YAML cannot read; quote it.') from error
    return options
