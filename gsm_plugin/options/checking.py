"""Checks an option file as a whole: sections that are needed, sections that are none, and keys that nothing reads."""

from collections.abc import Iterator

from gsm_plugin.compat import UserError
from gsm_plugin.options.historical import reason_to_ignore
from gsm_plugin.options.known_keys import TRAINING_SET_ONLY, known_paths
from gsm_plugin.options.nearest import nearest, similarity
from gsm_plugin.options.reading import look_up
from gsm_plugin.options.source_scan import Path, begins, leads_below

_SECTIONS = ('datasets', 'path', 'train', 'val', 'val:metrics', 'logger', 'logger:wandb', 'dist_params')

_NEEDED = {
    True: {
        'name': 'the name of the experiment',
        'num_gpu': 'auto, or the number of GPUs; 0 is the CPU',
        'train:total_iter': 'the number of iterations',
        'logger:print_freq': 'the number of iterations between log lines',
        'logger:save_checkpoint_freq': 'the number of iterations between checkpoints',
        'logger:use_tb_logger': 'true or false',
        'datasets:train:batch_size_per_gpu': 'the number of clips or images in a batch',
        'datasets:train:num_worker_per_gpu': 'the number of processes that read data, 0 or more',
    },
    False: {
        'name': 'the name of the test run',
        'num_gpu': 'auto, or the number of GPUs; 0 is the CPU',
        'val:save_img': 'true or false',
    },
}


def check_sections(options: dict, is_train: bool) -> None:
    """Refuses an option file that lacks something that BasicSR reads without asking whether it is there.

    Args:
        options: The option file.
        is_train: Whether it is for training or for a test.

    Raises:
        UserError: The first thing that is missing or is no section.
    """
    for path in _SECTIONS:
        _check_section(options, path)
    if not options.get('datasets'):
        raise UserError(f'The section datasets is missing; it needs {"train" if is_train else "test"}.')
    for key, section in options['datasets'].items():
        _check_phase(key, section, is_train)
    needed = dict(_NEEDED[is_train])
    needed |= {f'datasets:{key}:name': 'the name of the data set' for key in options['datasets']}
    if is_train and options.get('val') is not None:
        needed |= {'val:val_freq': 'the number of iterations between validations', 'val:save_img': 'true or false'}
    for path, meaning in needed.items():
        if look_up(options, path) is None:
            section, _, key = path.rpartition(':')
            is_there = key in ((look_up(options, section) or {}) if section else options)
            found = 'empty (~ or null; in quotes they are words)' if is_there else 'missing'
            raise UserError(f'{path} is {found}; set it to {meaning}.')


def check_keys(options: dict) -> list[str]:
    """Refuses keys that nothing reads.

    Args:
        options: The option file, whose names are known.

    Returns:
        One sentence for each key of published option files that is ignored.

    Raises:
        UserError: Unknown keys, the first one with the known key that is nearest to it.
    """
    known = known_paths(options)
    unknown, notes = [], []
    for path in _unknown_paths(options, (), known):
        reason = reason_to_ignore(path)
        if reason is None:
            unknown.append(path)
        else:
            notes.append(f'{":".join(path)} is ignored: {reason}.')
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
