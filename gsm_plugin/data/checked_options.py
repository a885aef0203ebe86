"""Options of a data set, read with a check of each: a wrong value ends in one sentence that names key and cure."""

from collections.abc import Sequence
from typing import Any

from gsm_plugin.compat import UserError

_REQUIRED = object()


class CheckedOptions:
    """Reads the options of a data set or of a section of it.

    Args:
        opt: The options.
        title: What messages call the set.
        meanings: What each key is for; messages quote it.
        prefix: Of the section, such as `degradation:`.
    """

    def __init__(self, opt: dict, title: str, meanings: dict[str, str], prefix: str = ''):
        self._opt, self._title, self._meanings, self._prefix = opt, title, meanings, prefix

    def section(self, key: str) -> 'CheckedOptions':
        """A section of it, which may be left out."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, 'a section')
        return CheckedOptions(value, self._title, self._meanings, f'{self._prefix}{key}:')

    def whole(self, key: str, default: object = _REQUIRED, low: int = 1) -> int:
        """A whole number from `low` up."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise self.wrong(key, f'a whole number from {low} up')
        return value

    def wholes(self, key: str, default: Sequence[int]) -> list[int]:
        """A list of whole numbers from 1 up."""
        value = self._get(key, default)
        if not isinstance(value, list) or not value or not all(type(one) is int and one > 0 for one in value):
            raise self.wrong(key, 'a list of whole numbers from 1 up, such as [1]')
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self._get(key, default)
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, f'a number from {low:g} to {high:g}')
        return float(value)

    def span(self, key: str, default: Sequence[float], low: float, high: float) -> tuple[float, float]:
        """A range [least, greatest] within `low` to `high`."""
        value = self._get(key, default)
        is_pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
        if not is_pair or not low <= value[0] <= value[1] <= high:
            raise self.wrong(key, f'a range [least, greatest] between {low:g} and {high:g}')
        return float(value[0]), float(value[1])

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, 'true or false')
        return value

    def word(self, key: str, default: object, choices: Sequence[str]) -> str:
        """One of some words."""
        value = self._get(key, default)
        if value not in choices:
            raise self.wrong(key, f'one of {", ".join(choices)}')
        return value

    def weights(self, key: str, default: dict[str, float], choices: Sequence[str]) -> dict[str, float]:
        """How often each of some words is drawn, relative to the others."""
        value = self._get(key, default)
        known = isinstance(value, dict) and all(
            name in choices and _is_number(weight) and weight >= 0 for name, weight in value.items()
        )
        if not known or sum(value.values()) <= 0:
            raise self.wrong(key, f'weights from 0 up of {", ".join(choices)}, such as {{{choices[0]}: 1}}')
        return {name: float(weight) for name, weight in value.items() if weight}

    def text(self, key: str) -> str:
        """A text that must be there."""
        value = self._get(key, _REQUIRED)
        if not isinstance(value, str):
            raise self.wrong(key, 'a text')
        return value

    def wrong(self, key: str, wanted: str) -> UserError:
        """The error of a value that does not serve."""
        return UserError(f'{self._title}: {self._prefix}{key} is {self._opt.get(key)!r}; it needs {wanted}.')

    def _get(self, key: str, default: object) -> Any:
        value = self._opt.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            meaning = self._meanings[f'{self._prefix}{key}']
            raise UserError(f'{self._title} lacks {self._prefix}{key}: {meaning}')
        return default


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
