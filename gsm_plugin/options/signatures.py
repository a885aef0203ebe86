"""The sections of an option file that become arguments: whose arguments, which they may have and which they must."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from basicsr.models.base_model import BaseModel
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from gsm_plugin.compat.optimizers_by_name import optimizers, schedulers
from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.everything import Path
from gsm_plugin.options.names import find, find_class, is_known
from gsm_plugin.options.reading import look_up

ANY = '*'

_NOT_FROM_OPTIONS = frozenset({'self', 'img', 'img2'})
"""Beside the first argument of optimisers and schedulers: what BasicSR hands to metrics itself."""


def constructed_sections(options: dict) -> Iterator[tuple[Path, list[inspect.Parameter]]]:
    """The sections that become arguments of a network, loss, optimiser, scheduler or metric.

    Args:
        options: The option file; the names in it are known ones.

    Yields:
        The path of the section, and the parameters that its keys are for, without `type`.
    """
    for key, section in options.items():
        if key.startswith('network_'):
            yield (key,), parameters(find(ARCH_REGISTRY, section['type']))
    model = find_class(MODEL_REGISTRY, options['model_type'])
    for key, section in (options.get('train') or {}).items():
        if isinstance(section, dict) and 'type' in section:
            function, given = _train_function(key, section['type'], model)
            if function is not None:
                yield ('train', key), parameters(function)[given:]
    for key, section in ((options.get('val') or {}).get('metrics') or {}).items():
        yield ('val', 'metrics', key), _metric_parameters(find(METRIC_REGISTRY, section['type']))


def parameters(function: Callable) -> list[inspect.Parameter]:
    """The parameters of a class or function that options can set."""
    try:
        every = inspect.signature(function, eval_str=True).parameters.values()
    except NameError:
        # annotations of names that are there for type checkers alone
        every = inspect.signature(function).parameters.values()
    return [one for one in every if one.kind is not one.VAR_POSITIONAL and one.name not in _NOT_FROM_OPTIONS]


def key_of(parameter: inspect.Parameter) -> str:
    """The key of a parameter; any key for `**kwargs`, of which nothing can be told."""
    return ANY if parameter.kind is parameter.VAR_KEYWORD else parameter.name


def check_arguments(options: dict) -> None:
    """Refuses sections that lack an argument without default.

    Raises:
        UserError: An argument is missing.
    """
    for path, wanted in constructed_sections(options):
        section = look_up(options, ':'.join(path))
        for one in wanted:
            optional = one.default is not one.empty or one.kind is one.VAR_KEYWORD
            if not optional and one.name not in section:
                raise UserError(f'{":".join(path)} lacks {one.name}, which {section["type"]} needs.')


def _train_function(key: str, name: str, model: Any) -> tuple[Callable | None, int]:
    if key.startswith('optim_'):
        return optimizers()[name], 1
    if key == 'scheduler' and model.setup_schedulers is BaseModel.setup_schedulers:
        return schedulers()[name], 1
    return (find(LOSS_REGISTRY, name), 0) if is_known(LOSS_REGISTRY, name) else (None, 0)


def _metric_parameters(metric: Callable) -> list[inspect.Parameter]:
    # BasicSR's metrics take **kwargs only to drop what is left, so a wrong key would go unseen.
    dropped = metric.__module__.startswith('basicsr.')
    return [one for one in parameters(metric) if not (dropped and one.kind is one.VAR_KEYWORD)]
