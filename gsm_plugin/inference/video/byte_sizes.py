"""Sizes in bytes as people write them."""

import math
import re

from gsm_plugin.errors import UserError

_SIZE = re.compile(r'(\d{1,18}(?:\.\d{1,18})?)\s*(b|[kmgt](?=i?b?$))(?:i?b)?', re.ASCII)
_UNITS = {'b': 1, 'k': 2**10, 'm': 2**20, 'g': 2**30, 't': 2**40}


def read_bytes(text: str) -> int:
    """Bytes of `8GiB`, `8G`, `500MiB`, `1000B`.

    Raises:
        UserError: It is no size, or has no unit.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise UserError(f'--memory is {text!r}; write a number with its unit, for example 8GiB or 500MiB.')
    return round(float(match[1]) * _UNITS[match[2]])


def show_bytes(number: float) -> str:
    """`1.5 GiB` or `300 MiB`."""
    return f'{number / 2**30:.2f} GiB' if number >= 2**30 else f'{number / 2**20:.0f} MiB'


def enough_bytes(number: float) -> str:
    """A size that is surely no less, as `read_bytes` takes it: `1.6GiB` or `310MiB`."""
    if number >= 2**30:
        return f'{math.ceil(number / 2**30 * 10) / 10:g}GiB'
    return f'{math.ceil(number / 2**20)}MiB'
