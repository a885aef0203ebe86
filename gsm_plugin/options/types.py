"""Checks that values are of the right kind: a text for a folder, a number for a size, a list for a window."""

import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from inspect import Parameter
from pathlib import Path

from gsm_plugin.compat import UserError
from gsm_plugin.options.signatures import constructed_sections, key_of

Test = Callable[[object], bool]
Kind = tuple[str, Test]


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; a float such as 5e3 is one too."""
    return is_number(value) and value == value // 1


def is_number(value: object) -> bool:
    """Whether a value is a number, and neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float('inf')


def _is_list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list | tuple) and all(map(test, value))


TEXT: Kind = ('a text', lambda value: isinstance(value, str))
FLAG: Kind = ('true or false', lambda value: isinstance(value, bool))
NUMBER: Kind = ('a number', is_number)
WHOLE: Kind = ('a whole number', is_whole)
# Processes and workers add their numbers to it, and NumPy's seeds end at 2**32.
SEED: Kind = ('a whole number from 0 to 4294000000', lambda value: type(value) is int and 0 <= value <= 4294000000)
LIST: Kind = ('a list', lambda value: isinstance(value, list | tuple))
NUMBERS: Kind = ('a list of numbers', _is_list_of(is_number))
TEXTS: Kind = ('a list of texts', _is_list_of(lambda value: isinstance(value, str)))

# What BasicSR and the run read without looking at its kind; ~ is as good as leaving them out.
_KINDS: dict[str, Kind] = {
    'name': TEXT,
    'manual_seed': SEED,
    'find_unused_parameters': FLAG,
    'datasets:*:name': TEXT,
    'datasets:*:dataroot*': TEXT,
    'datasets:*:meta_info*': TEXT,
    'datasets:*:val_partition': TEXT,
    'datasets:*:io_backend:type': TEXT,
    'datasets:*:test_mode': FLAG,
    'datasets:*:cache_data': FLAG,
    'datasets:*:use_*': FLAG,
    'datasets:*:random_reverse': FLAG,
    'datasets:*:flip_sequence': FLAG,
    'datasets:*:pin_memory': FLAG,
    'datasets:*:persistent_workers': FLAG,
    'datasets:*:num_prefetch_queue': WHOLE,
    'path:pretrain_*': TEXT,
    'path:param_key*': TEXT,
    'path:resume_state': TEXT,
    'path:strict_load*': FLAG,
    'path:ignore_resume_networks': TEXTS,
    'network_*:*_path': TEXT,
    'train:total_iter': WHOLE,
    'train:warmup_iter': WHOLE,
    'train:ema_decay': NUMBER,
    'train:flow_lr_mul': NUMBER,
    'train:optim_*:lr': NUMBER,
    'train:optim_*:betas': NUMBERS,
    'train:scheduler:milestones': NUMBERS,
    'train:scheduler:periods': NUMBERS,
    'train:scheduler:restart_weights': NUMBERS,
    'train:*_opt:loss_weight': NUMBER,
    'train:*_opt:reduction': TEXT,
    'val:save_img': FLAG,
    'logger:use_tb_logger': FLAG,
    'logger:wandb:*': TEXT,
    'dist_params:backend': TEXT,
    'dist_params:port': WHOLE,
}

_IN_PART = re.compile('^(datasets:[^:]+):parts:[^:]+:')


def check_common_types(options: dict) -> None:
    """Refuses values of the wrong kind, of keys that are the same whatever the classes are.

    Args:
        options: The option file, with all required sections.

    Raises:
        UserError: The first such value.
    """
    for path, value in _leaves(options, ''):
        # The keys of a part of a mixed set are those of a data set.
        plain = _IN_PART.sub(r'\1:', path)
        for pattern, (what, test) in _KINDS.items():
            if value is not None and fnmatchcase(plain, pattern) and pattern.count(':') == plain.count(':'):
                _require(path, value, what, test(value))


def check_argument_types(options: dict) -> None:
    """Refuses arguments of the wrong kind, as far as the annotations and defaults of constructors tell.

    Args:
        options: The option file, with known names and keys.

    Raises:
        UserError: The first such value.
    """
    for path, arguments in constructed_sections(options):
        section = options
        for key in path:
            section = section[key]
        for one in arguments:
            if key_of(one) in section:
                value = section[one.name]
                for what, test in _kinds_of(one):
                    _require(':'.join((*path, one.name)), value, what, test(value))


def _leaves(section: dict, parent: str) -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        path = f'{parent}{key}'
        yield path, value
        if isinstance(value, dict) and path.count(':') < 4:
            yield from _leaves(value, f'{path}:')


def _require(path: str, value: object, what: str, holds: bool) -> None:
    if not holds:
        shown = repr(value)
        shown = shown if len(shown) < 80 else f'{shown[:77]}...'
        quotes = '; put it in quotes' if what == TEXT[0] and isinstance(value, bool) else ''
        raise UserError(f'{path} is {shown}; it must be {what}{quotes}.')


def _kinds_of(parameter: Parameter) -> Iterator[Kind]:
    """What an argument takes, as far as its annotation or default tells."""
    if parameter.annotation is not parameter.empty:
        kinds = [_kind_of_type(one) for one in _alternatives(parameter.annotation)]
        if all(kinds):
            what = ' or '.join(dict.fromkeys(word for word, _ in kinds))
            yield what, lambda value: any(test(value) for _, test in kinds)
    elif parameter.default is not parameter.empty and parameter.default is not None:
        # A default of 0 says that a number is wanted, not that it is a whole one.
        kind = NUMBER if is_number(parameter.default) else _kind_of_type(type(parameter.default))
        if kind is not None:
            yield kind


def _alternatives(annotation: object) -> tuple:
    united = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    return typing.get_args(annotation) if united else (annotation,)


def _kind_of_type(kind: object) -> Kind | None:
    if kind is type(None):
        return '~', lambda value: value is None
    if kind in (str, Path):
        return TEXT
    if (typing.get_origin(kind) or kind) in (tuple, list, Sequence):
        return LIST
    return {bool: FLAG, int: WHOLE, float: NUMBER}.get(kind)
