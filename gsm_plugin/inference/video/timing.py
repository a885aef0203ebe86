"""Times as people write them, parts of a film, and time stamps."""

import re

from gsm_plugin.errors import UserError

_TIME = re.compile(r'(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9}(?:\.\d*)?|\.\d+)s?', re.ASCII)


def read_seconds(text: str, what: str) -> float:
    """Seconds of a time: `80`, `80.5s`, `1:20`, `0:01:20.5`.

    Args:
        text: The time.
        what: What messages call it.

    Raises:
        UserError: It is none, less than 0, or has 60 or more behind a colon.
    """
    if text.strip().startswith('-'):
        raise UserError(f'{what} is {text!r}, a negative time; write seconds from 0 up (80.5) or 0:01:20.5.')
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UserError(f'{what} is {text!r}, which is no time; write seconds (80.5) or 0:01:20.5.')
    hours, minutes, seconds = int(match[1] or 0), int(match[2] or 0), float(match[3])
    if (match[1] and minutes >= 60) or (match[2] and seconds >= 60):
        raise UserError(f'{what} is {text!r}, with 60 or more behind a colon; write seconds (80.5) or 0:01:20.5.')
    return hours * 3600 + minutes * 60 + seconds


def read_preview(text: str) -> tuple[float, float]:
    """First and last second of `5s@1:20`: five seconds from 1:20 on; without `@` from the beginning on.

    Raises:
        UserError: It is not of that form, lacks a time, or takes none.
    """
    length, at, start = text.partition('@')
    if not length or (at and not start):
        raise UserError(f'--preview is {text!r}, which lacks a time beside the @; write, for example, 5s@1:20.')
    first = read_seconds(start, '--preview') if start else 0.0
    seconds = read_seconds(length, '--preview')
    if seconds <= 0:
        raise UserError(f'--preview {text} takes no time; write, for example, 5s@1:20.')
    return first, first + seconds


def read_range(start: str | None, end: str | None, preview: str | None) -> tuple[float, float | None]:
    """First and last second that are wanted; None for the end of the film.

    Raises:
        UserError: A time is none, the end is not after the start, or the preview is given besides.
    """
    if preview is not None:
        if start is not None or end is not None:
            raise UserError(f'--preview {preview} is a start and an end; leave out --start and --end.')
        return read_preview(preview)
    first = 0.0 if start is None else read_seconds(start, '--start')
    last = None if end is None else read_seconds(end, '--end')
    if last is not None and last <= first:
        raise UserError(f'--end {end} is not after the start ({first:g} s); make it later.')
    return first, last


def show_time(seconds: float) -> str:
    """`0:01:20`, with hundredths below a minute."""
    if seconds < 60:
        return f'{seconds:.2f} s'
    whole = int(seconds)
    return f'{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}'
