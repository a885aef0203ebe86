"""The types that keys are declared with, what messages call them, and the one check of a value."""

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gsm_plugin.errors import UserError

_LONGEST_SHOWN = 80


def about(text: str, none: str = '') -> Meta:
    """What a key is for.

    Args:
        text: One line, in lower case and without a full stop: comments of option files begin with it.
        none: What ~ stands for, such as 'for no limit'; nothing where ~ is as good as leaving the key out.
    """
    return Meta(description=text, extra={'none': none} if none else None)


def called(words: str, test: Callable[[object], bool] | None = None) -> Meta:
    """What messages call a type that has a test of its own, or a name that says more than its range."""
    return Meta(extra={'words': words, 'test': test})


Positive = Annotated[int, Meta(ge=1)]
FromZero = Annotated[int, Meta(ge=0)]
AboveZero = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
# Processes and workers add their numbers to it, and NumPy's seeds end at 2**32.
Seed = Annotated[int, Meta(ge=0, le=4294000000)]
Odd = Annotated[Positive, called('an odd number of frames', lambda value: value % 2 == 1)]
Steps = Annotated[list[Positive], Meta(min_length=1), called('a list of whole numbers from 1 up, such as [1]')]
Decays = Annotated[
    list[Share], Meta(min_length=2, max_length=2), called('a list of two numbers from 0 to 1, such as [0.9, 0.99]')
]
AsWritten = Annotated[str, Meta(extra={'as_written': True})]
"""A text whatever YAML takes it for: a run called yes, weights called 007."""
Existing = Annotated[AsWritten, Meta(extra={'exists': True})]
"""The path of a file or folder that has to be there."""
Registered = Annotated[str, Meta(extra={'registered': True})]
"""The name of a class or function that a registry knows."""


Span = tuple[float, float]
"""A range [least, greatest]; see `within`."""
Weights = dict[str, float]
"""How often each of some words is drawn, relative to the others; see `drawn_from`."""


def within(low: float, high: float) -> Meta:
    """What a `Span` lies within."""
    one = {'type': 'number', 'minimum': low, 'maximum': high}
    return Meta(
        extra={
            'words': f'a range [least, greatest] between {low:g} and {high:g}',
            'test': lambda value: low <= value[0] <= value[1] <= high,
        },
        # beside what the library says of the type, which would replace it
        extra_json_schema={'allOf': [{'prefixItems': [one, one]}]},
    )


def drawn_from(names: Sequence[str]) -> Meta:
    """The words of `Weights`."""

    def is_right(value: Weights) -> bool:
        return value.keys() <= set(names) and min(value.values(), default=0) >= 0 and sum(value.values()) > 0

    words = f'weights from 0 up of {", ".join(names)}, such as {{{names[0]}: 1}}'
    schema = {'propertyNames': {'enum': list(names)}, 'additionalProperties': {'type': 'number', 'minimum': 0}}
    return Meta(extra={'words': words, 'test': is_right}, extra_json_schema={'allOf': [schema]})


def check_value(value: object, kind: Any, path: str) -> object:
    """Checks a value.

    Args:
        value: As the file has it.
        kind: An annotation.
        path: Of the key, for the message.

    Returns:
        It as `kind` has it: 5e3 is a whole number, and a list may become a tuple.

    Raises:
        UserError: It is of another type, out of range, infinite or NaN.
    """
    try:
        converted = _convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        converted = _convert
    test, more = extra_of(kind, 'test'), _quotes(value, kind)
    if not _is_finite(converted):
        converted, more = _convert, ', and finite'
    if converted is _convert or (test and converted is not None and not test(converted)):
        raise UserError(f'{path} is {_shown(value)}; it must be {words(kind)}{more}.')
    return converted


def words(kind: Any) -> str:
    """What messages call a type, such as 'a whole number from 1 up'."""
    if own := extra_of(kind, 'words'):
        return own + _or_none(kind)
    plain = _plain(kind)
    if plain in (int, float):
        return ('a whole number' if plain is int else 'a number') + _range(kind)
    if alternatives(plain) != (plain,):
        return ' or '.join(dict.fromkeys(words(one) for one in alternatives(plain))) + _or_none(kind)
    origin, inner = typing.get_origin(plain), typing.get_args(plain)
    if origin is Literal:
        return ' or '.join(inner) if len(inner) < 3 else f'one of {", ".join(inner)}'
    if plain in (list, tuple) or origin in (list, tuple):
        elements = {str: ' of texts', int: ' of whole numbers', float: ' of numbers'}
        return 'a list' + (elements.get(_plain(inner[0]), '') if inner else '')
    return {str: 'a text', bool: 'true or false'}.get(plain, 'a section')


def text_of(kind: Any) -> str:
    """The line of text of a key."""
    own = [meta.description for meta in _metas(kind) if meta.description]
    inner = [text_of(one) for one in alternatives(kind) if one is not kind]
    return next((text for text in (*reversed(own), *inner) if text), '')


def extra_of(kind: Any, name: str) -> Any:
    """A mark of a type or of one of its alternatives, such as `exists`; None where it has none."""
    marks = [meta.extra[name] for meta in _metas(kind) if meta.extra and meta.extra.get(name)]
    inner = [one for one in alternatives(_plain(kind)) if one is not _plain(kind)]
    return marks[-1] if marks else next((mark for one in inner if (mark := extra_of(one, name))), None)


def takes_none(kind: Any) -> bool:
    """Whether ~ is a value of its own."""
    return type(None) in typing.get_args(_plain(kind))


def alternatives(kind: Any) -> tuple:
    """The types that a union is of, without that of ~; a type itself where it is no union."""
    plain = _plain(kind)
    if not isinstance(plain, types.UnionType) and typing.get_origin(plain) is not typing.Union:
        return (kind,)
    return tuple(one for one in typing.get_args(plain) if one is not type(None))


def _convert(value: object, kind: Any) -> object:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        if isinstance(value, float) and value.is_integer():
            return msgspec.convert(int(value), kind)
        raise


def _is_finite(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _or_none(kind: Any) -> str:
    none = next((meta.extra['none'] for meta in _metas(kind) if meta.extra and 'none' in meta.extra), '')
    return f', or ~ {none}' if none else ''


def _quotes(value: object, kind: Any) -> str:
    return '; put it in quotes' if isinstance(value, bool) and words(kind) == 'a text' else ''


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < _LONGEST_SHOWN else f'{shown[: _LONGEST_SHOWN - 3]}...'


def _plain(kind: Any) -> Any:
    return kind.__origin__ if _metas(kind) else kind


def _metas(kind: Any) -> tuple[Meta, ...]:
    return getattr(kind, '__metadata__', ())


def _range(kind: Any) -> str:
    limits = {name: getattr(meta, name) for meta in _metas(kind) for name in ('ge', 'gt', 'le') if _has(meta, name)}
    if 'gt' in limits:
        return f' above {limits["gt"]}'
    if 'ge' not in limits:
        return ''
    return f' from {limits["ge"]} to {limits["le"]}' if 'le' in limits else f' from {limits["ge"]} up'


def _has(meta: Meta, name: str) -> bool:
    return getattr(meta, name) is not None
