"""Checks an option file as a whole: sections that are none, and keys that nothing reads."""

from collections.abc import Iterator

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.everything import Path
from gsm_plugin.options.historical import reason_to_ignore
from gsm_plugin.options.known_keys import (
    TRAINING_SET_ONLY,
    begins,
    class_that_reads,
    known_paths,
    leads_below,
    tells_its_keys,
)
from gsm_plugin.options.nearest import nearest, similarity
from gsm_plugin.options.reading import look_up
from gsm_plugin.options.signatures import constructed_sections

_SECTIONS = ('datasets', 'path', 'train', 'val', 'val:metrics', 'logger', 'logger:wandb', 'dist_params')


def check_sections(options: dict, is_train: bool) -> None:
    """Refuses an option file whose sections are none, or are of no such run.

    Args:
        options: The option file.
        is_train: Whether it is for training or for a test.

    Raises:
        UserError: The first section that is missing or is none.
    """
    if 'variants' in options and 'options' in options:
        raise UserError('The file describes a study, and no training or test; give it to basicsr study.')
    for path in _SECTIONS:
        _check_section(options, path)
    if not options.get('datasets'):
        raise UserError(f'The section datasets is missing; it needs {"train" if is_train else "test"}.')
    for key, section in options['datasets'].items():
        _check_phase(key, section, is_train)


def check_keys(options: dict) -> list[str]:
    """Refuses keys that nothing reads.

    Args:
        options: The option file, whose names are known.

    Returns:
        One sentence for each key of published option files that is ignored, and for each that only a class could read
        which does not tell its keys.

    Raises:
        UserError: Unknown keys, the first one with the known key that is nearest to it.
    """
    known = known_paths(options)
    by_signature = {section for section, _ in constructed_sections(options)}
    unknown, notes = [], []
    for path in _unknown_paths(options, (), known):
        reason, reader = reason_to_ignore(path), class_that_reads(path, options)
        if reason is not None:
            notes.append(f'{":".join(path)} is ignored: {reason}.')
        elif path[:-1] not in by_signature and not tells_its_keys(reader):
            notes.append(
                f'{":".join(path)} is read by {reader.__name__} or by nothing, since that class does not declare its '
                f'keys; the nearest known one is {":".join(_nearest_path(path, known))}.'
            )
        else:
            unknown.append(path)
    if unknown:
        rest = f' The same goes for {", ".join(":".join(path) for path in unknown[1:])}.' if unknown[1:] else ''
        raise UserError(_complaint(unknown[0], known) + rest)
    return notes


def _check_phase(key: str, section: object, is_train: bool) -> None:
    phase = key.split('_')[0]
    allowed = ('train', 'val') if is_train else ('test', 'val')
    if phase not in allowed or key.startswith('train_'):
        takes = 'train, val, val_2, ...' if is_train else 'test, test_2, ...'
        raise UserError(f'datasets:{key} is no data set of {"training" if is_train else "a test"}; call it {takes}')
    if not isinstance(section, dict):
        raise UserError(f'datasets:{key} is {section!r}; it must be a section.')
    _check_section(section, 'io_backend', f'datasets:{key}:')


def _check_section(options: dict, path: str, parent: str = '') -> None:
    value = look_up(options, path)
    if value is not None and not isinstance(value, dict):
        raise UserError(f'{parent}{path} is {value!r}; it must be a section.')


def _unknown_paths(section: dict, parent: Path, known: frozenset[Path]) -> Iterator[Path]:
    for key, value in section.items():
        path = (*parent, str(key))
        if not any(begins(pattern, path) for pattern in known):
            yield path
        elif isinstance(value, dict) and any(leads_below(pattern, path) for pattern in known):
            yield from _unknown_paths(value, path, known)


def _complaint(path: Path, known: frozenset[Path]) -> str:
    text = f'Nothing reads the key {":".join(path)}'
    if path[0] == 'datasets' and path[-1] in TRAINING_SET_ONLY:
        return f'{text}: it is for the training set; take it out.'
    return f'{text}; did you mean {":".join(_nearest_path(path, known))}?'


def _nearest_path(path: Path, known: frozenset[Path]) -> Path:
    plain = [pattern for pattern in known if not any('*' in part for part in pattern)]
    siblings = [pattern for pattern in plain if pattern[:-1] == path[:-1]]
    closest = nearest(path[-1], [pattern[-1] for pattern in siblings] or [pattern[-1] for pattern in plain])
    elsewhere = sorted(pattern for pattern in plain if pattern[-1] == path[-1])
    if elsewhere and similarity(path[-1], closest) < 0.8:
        return elsewhere[0]
    return (*path[:-1], closest) if siblings else next(pattern for pattern in sorted(plain) if pattern[-1] == closest)
