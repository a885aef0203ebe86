"""Checks the names of models, networks, data sets, losses, metrics, optimisers and schedulers in an option file."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import basicsr
from basicsr.models.base_model import BaseModel
from basicsr.utils.registry import (
    ARCH_REGISTRY,
    DATASET_REGISTRY,
    LOSS_REGISTRY,
    METRIC_REGISTRY,
    MODEL_REGISTRY,
    Registry,
)

from gsm_plugin.compat.optimizers_by_name import CANNOT_SERVE, optimizers, schedulers
from gsm_plugin.errors import UserError
from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.nearest import nearest


def find(registry: Registry, name: str) -> Callable:
    """The class or function of that name, also where BasicSR knows it by its suffix; quiet, unlike `Registry.get`."""
    return registry._obj_map.get(name) or registry._obj_map[f'{name}_basicsr']


def find_class(registry: Registry, name: str) -> Any:
    """The same of a registry of classes alone: models and data sets."""
    return find(registry, name)


def is_known(registry: Registry, name: str) -> bool:
    """Whether `find` finds something."""
    return name in registry or f'{name}_basicsr' in registry


def check_names(options: dict) -> None:
    """Refuses a name that is not known.

    Args:
        options: The option file, with all required sections.

    Raises:
        UserError: A name is missing or unknown. The text lists the known ones.
    """
    for path, name, kind, known in _names(options):
        if not isinstance(name, str):
            what = 'is missing' if name is None else f'is {name!r}'
            article = 'an' if kind[0] in 'aeiou' else 'a'
            raise UserError(f'{path} {what}; it names {article} {kind}: {", ".join(sorted(known))}.')
        if name not in known and name in CANNOT_SERVE:
            known_ones = ', '.join(sorted(known))
            raise UserError(f'{path} is {name}, which {CANNOT_SERVE[name]}; take one of {known_ones}.')
        if name not in known:
            raise UserError(
                f'{path}: no {kind} is called {name!r}; did you mean {nearest(name, known)}? '
                f'Known ones: {", ".join(sorted(known))} (BasicSR is {basicsr.__file__}); your own by --import MODULE.'
            )


def _names(options: dict) -> Iterator[tuple[str, object, str, Collection[str]]]:
    yield 'model_type', options.get('model_type'), 'model', _known(MODEL_REGISTRY)
    for key, section in options.items():
        if key.startswith('network_'):
            yield f'{key}:type', _type(section, key), 'network', _known(ARCH_REGISTRY)
    for path, section in data_sections(options):
        yield f'{path}:type', _type(section, path), 'data set', _known(DATASET_REGISTRY)
    model = find_class(MODEL_REGISTRY, options['model_type'])
    for key, section in (options.get('train') or {}).items():
        path = f'train:{key}'
        if key.startswith('optim_'):
            yield f'{path}:type', _type(section, path), 'optimiser', optimizers()
        elif key == 'scheduler' and model.setup_schedulers is BaseModel.setup_schedulers:
            yield f'{path}:type', _type(section, path), 'scheduler', schedulers()
        elif key.endswith('_opt') and section is not None:
            yield f'{path}:type', _type(section, path), 'loss', _known(LOSS_REGISTRY)
    for key, section in ((options.get('val') or {}).get('metrics') or {}).items():
        yield f'val:metrics:{key}:type', _type(section, f'val:metrics:{key}'), 'metric', _known(METRIC_REGISTRY)


def _known(registry: Registry) -> set[str]:
    return {name.removesuffix('_basicsr') for name in registry.keys()}  # noqa: SIM118 (a Registry iterates over pairs)


def _type(section: object, path: str) -> object:
    if not isinstance(section, dict):
        raise UserError(f'{path} is {section!r}; it must be a section with a type.')
    return section.get('type')
