"""Which declared sections apply to which sections of an option file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.declared import run_sections, set_sections, train_section, val_section
from gsm_plugin.options.declared.everything import EVERY_RUN, LOOP, OF_MODELS, Network, Path
from gsm_plugin.options.declared.sections import Section
from gsm_plugin.options.names import find_class
from gsm_plugin.options.reading import look_up


@dataclass(frozen=True)
class Part:
    """A section of a file, with a class that declares keys of it.

    Attributes:
        path: Of the section.
        section: What the file has there.
        declared: The class.
    """

    path: Path
    section: dict
    declared: type[Section]

    @property
    def where(self) -> str:
        """What messages put before a key."""
        return ''.join(f'{name}:' for name in self.path)


def parts_of(options: dict) -> Iterator[Part]:
    """All sections of a file with the classes that declare their keys.

    Args:
        options: The option file, or a part of it, whose sections are sections, of a known model and known data sets.
    """
    places = [(path, one) for group in (EVERY_RUN, OF_MODELS) for path, classes in group.items() for one in classes]
    # which a part of a file, such as that of its data, need not have
    of_the_model = declared_by_all(find_class(MODEL_REGISTRY, options['model_type'])) if 'model_type' in options else ()
    every: list[tuple[Path, type[Section]]] = [*places, *LOOP.items(), *of_the_model]
    for path, declared in every:
        section = look_up(options, ':'.join(path)) if path else options
        if isinstance(section, dict):
            yield Part(path, section, declared)
    for key, section in options.items():
        if key.startswith('network_'):
            yield Part((key,), section, Network)
    for name, section in ((options.get('val') or {}).get('metrics') or {}).items():
        yield Part(('val', 'metrics', name), section, val_section.Metric)
    for where, section in data_sections(options):
        yield from _parts_of_set(tuple(where.split(':')), section)


def needed_parts(options: dict, is_train: bool) -> Iterator[Part]:
    """The sections whose keys without default have to be there, whatever the classes are."""
    yield Part((), options, run_sections.Run)
    if is_train:
        yield Part(('train',), options.get('train') or {}, train_section.Iterations)
        yield Part(('logger',), options.get('logger') or {}, run_sections.Logger)
        yield Part(('datasets', 'train'), options['datasets'].get('train') or {}, set_sections.TrainingSet)
    for key, section in options['datasets'].items():
        yield Part(('datasets', key), section, set_sections.EverySet)
    if not is_train or options.get('val') is not None:
        declared = val_section.LoopVal if is_train else val_section.Saving
        yield Part(('val',), options.get('val') or {}, declared)


def declared_of(cls: type) -> Mapping[Path, type[Section]]:
    """What a class declares that it reads itself, by section."""
    return vars(cls).get('OPTIONS', {})


def declared_by_all(cls: type) -> Iterator[tuple[Path, type[Section]]]:
    """What a class and its bases declare."""
    for base in cls.__mro__:
        yield from declared_of(base).items()


def _parts_of_set(path: Path, section: dict) -> Iterator[Part]:
    is_part = len(path) > 2
    yield Part(path, section, set_sections.Part if is_part else set_sections.EverySet)
    if path[1] == 'train' and not is_part:
        yield Part(path, section, set_sections.TrainingSet)
    own = declared_of(find_class(DATASET_REGISTRY, section['type']))
    yield Part(path, section, own.get((), set_sections.HostSet))
