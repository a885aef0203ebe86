"""Numbers as people write them: ASCII digits without underscores, and no more of them than anything has."""

import re

_MOST_DIGITS = 18


def is_plain(text: str) -> bool:
    """Whether a text has none of what Python takes in numbers, and people do not write: `_`, other digits."""
    return text.isascii() and '_' not in text


def whole_number(text: str) -> int | None:
    """The number that is written by digits alone; None where anything else is written."""
    return int(text) if re.fullmatch(f'[0-9]{{1,{_MOST_DIGITS}}}', text) else None
