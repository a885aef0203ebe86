"""Which keys an option file may have: what the pipelines, the data loaders and the classes named in it really read."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from basicsr.utils.file_client import FileClient
from basicsr.utils.registry import DATASET_REGISTRY, MODEL_REGISTRY

from gsm_plugin.options.data_sections import data_sections
from gsm_plugin.options.declared import set_sections
from gsm_plugin.options.declared.everything import EVERY_RUN, LOOP, Path
from gsm_plugin.options.declared.sections import Section, keys_of, paths_of
from gsm_plugin.options.host import host_keys
from gsm_plugin.options.names import find_class
from gsm_plugin.options.plan import declared_of
from gsm_plugin.options.signatures import constructed_sections, key_of, parameters

# Keys of the loop that are for models which read another one: those that skip steps, and those that restore a clip
# when asked.
_NEEDED_OF_THE_MODEL = {
    ('train', 'on_divergence'): ('train', 'max_skipped_steps'),
    ('logger', 'sample_pictures'): ('val', 'tile'),
}

TRAINING_SET_ONLY = frozenset(key.name for key in keys_of(set_sections.TrainingSet))


def loop_keys() -> set[Path]:
    """What our training loop reads, and BasicSR's does not know."""
    return {path for parent, declared in LOOP.items() for path, _ in paths_of(declared, parent)}


def known_paths(options: dict) -> frozenset[Path]:
    """All key paths that an option file with these classes and functions may have.

    Args:
        options: The option file; the names in it are known ones.

    Returns:
        Paths, in which a segment may have wildcards.
    """
    read: set[Path] = {('datasets',), *((parent[0],) for parent in EVERY_RUN if parent)}
    for parent, classes in EVERY_RUN.items():
        read |= {path for one in classes for path, _ in paths_of(one, parent)}
    # every run hands them to its metrics
    read |= {('val', 'metrics')} | keys_read_by(find_class(MODEL_REGISTRY, options['model_type']))
    if 'train' in options['datasets']:
        lacking = {key for key, needed in _NEEDED_OF_THE_MODEL.items() if needed not in read}
        read |= loop_keys() - lacking
    known = set(read)
    for constructed, arguments in constructed_sections(options):
        # A section that the model does not read is no better known for having the keys of its type.
        if any(begins(path, constructed) for path in read):
            known |= {(*constructed, key) for key in ['type', *map(key_of, arguments)]}
            known |= {(*constructed, 'better')} if constructed[:2] == ('val', 'metrics') else set()
    for where, section in data_sections(options):
        known |= _dataset_paths(tuple(where.split(':')), section)
    return frozenset(known)


def keys_read_by(cls: type) -> set[Path]:
    """The paths that a class is known to read: by what it and its bases declare, and by the table for BasicSR's."""
    paths: set[Path] = set()
    for base in cls.__mro__:
        for parent, declared in declared_of(base).items():
            paths |= {path for path, _ in paths_of(declared, parent)}
        if base.__module__.startswith('basicsr.'):
            return paths | host_keys(base.__name__)
    return paths


def tells_its_keys(cls: type) -> bool:
    """Whether all keys of a class are known: it declares them, or it is BasicSR's."""
    return 'OPTIONS' in vars(cls) or cls.__module__.startswith('basicsr.')


def class_that_reads(path: Path, options: dict) -> type:
    """The class that a key is for: that of its data set, or the model."""
    section = options['datasets'].get(path[1]) if path[0] == 'datasets' and len(path) > 2 else None
    if section:
        return find_class(DATASET_REGISTRY, section['type'])
    return find_class(MODEL_REGISTRY, options['model_type'])


def begins(pattern: Path, path: Path) -> bool:
    """Whether a path is a pattern's, or that of a section on the way to it."""
    return len(pattern) >= len(path) and _fits(pattern, path)


def leads_below(pattern: Path, path: Path) -> bool:
    """Whether a pattern has something to say about what is inside the section at a path."""
    return len(pattern) > len(path) and _fits(pattern, path)


def _fits(pattern: Path, path: Path) -> bool:
    return all(fnmatchcase(name, part) for part, name in zip(pattern, path, strict=False))


def _dataset_paths(parent: Path, section: dict) -> set[Path]:
    cls = find_class(DATASET_REGISTRY, section['type'])
    own = keys_read_by(cls)
    if not tells_its_keys(cls):
        own |= {path for path, _ in paths_of(set_sections.HostSet)}
    if len(parent) > 2:
        # What a part of a mixed set may have: the set itself has the rest.
        own = {path for path in own if path[0] not in set_sections.SET_BY_THE_MIX}
        return _below(parent, own | {(key,) for key in _names(set_sections.Part)})
    names = {*_names(set_sections.EverySet), *set_sections.SET_BY_THE_RUN}
    names |= TRAINING_SET_ONLY if parent[1] == 'train' else set()
    paths = _below(parent, own | {(name,) for name in names})
    if any(path[0] == 'io_backend' for path in own):
        backend = FileClient._backends.get((section.get('io_backend') or {}).get('type'))
        # BasicSR hands the section to its backend, of which that for the disk has nothing to set.
        takes_more = backend is not None and '__init__' in vars(backend) and not declared_of(cls)
        arguments = parameters(backend) if takes_more else []
        paths |= {(*parent, 'io_backend', name) for name in ['type', *map(key_of, arguments)]}
    return paths


def _names(declared: type[Section]) -> list[str]:
    return [key.name for key in keys_of(declared)]


def _below(parent: Path, paths: Iterable[Path]) -> set[Path]:
    return {(*parent, *path) for path in paths}
