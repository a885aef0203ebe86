"""Checks single values: against the declaration of their key, or the annotation of the argument that they become."""

import functools
import operator
import types
import typing
from collections.abc import Sequence
from inspect import Parameter
from pathlib import Path

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.kinds import alternatives, check_value, extra_of
from gsm_plugin.options.declared.sections import REQUIRED, check_key, keys_of, missing
from gsm_plugin.options.plan import needed_parts, parts_of
from gsm_plugin.options.reading import look_up
from gsm_plugin.options.signatures import constructed_sections, key_of


def check_needed(options: dict, is_train: bool) -> None:
    """Refuses an option file that lacks a key without default; names of classes are a matter of `check_names`.

    Args:
        options: The option file, whose sections are sections.
        is_train: Whether it is for training or for a test.

    Raises:
        UserError: The first key that is missing.
    """
    for part in needed_parts(options, is_train):
        for key in keys_of(part.declared):
            is_needed = key.default is REQUIRED and not extra_of(key.kind, 'registered')
            if is_needed and part.section.get(key.name) is None:
                raise UserError(missing(key, part.where, is_there=key.name in part.section))


def check_declared(options: dict) -> None:
    """Refuses values that are not of the type and in the range that is declared; ~ is as good as leaving a key out.

    Whole numbers that are written like 5e3 become whole numbers, in place.

    Args:
        options: The option file, with known names.

    Raises:
        UserError: The first such value.
    """
    for part in parts_of(options):
        for key in keys_of(part.declared):
            for name in [name for name in part.section if key.fits(name) and part.section[name] is not None]:
                value = check_key(key, part.section[name], f'{part.where}{name}')
                if type(part.section[name]) is float and type(value) is int:
                    part.section[name] = value


def check_argument_types(options: dict) -> None:
    """Refuses arguments of the wrong kind, as far as the annotations and defaults of constructors tell.

    Args:
        options: The option file, with known names and keys.

    Raises:
        UserError: The first such value.
    """
    for path, arguments in constructed_sections(options):
        section = look_up(options, ':'.join(path))
        for one in arguments:
            kind = kind_of(one)
            if key_of(one) in section and kind is not None:
                check_value(section[one.name], kind, ':'.join((*path, one.name)))


def kind_of(parameter: Parameter) -> object | None:
    """The type that an argument takes, as far as its annotation or default tells; None where they do not."""
    if parameter.annotation is not parameter.empty:
        return _plain(parameter.annotation)
    default = parameter.default
    if default is parameter.empty or default is None:
        return None
    # A default of 0 says that a number is wanted, not that it is a whole one.
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return float if is_number else _plain(type(default))


def _plain(annotation: object) -> object | None:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        parts = [_plain(one) for one in alternatives(annotation)]
        or_none = None if type(None) in typing.get_args(annotation) else parts[0]
        return None if None in parts else functools.reduce(operator.or_, dict.fromkeys([*parts, or_none]))
    if annotation in (str, Path):
        return str
    if (typing.get_origin(annotation) or annotation) in (tuple, list, Sequence):
        return list
    return annotation if annotation in (bool, int, float) else None
