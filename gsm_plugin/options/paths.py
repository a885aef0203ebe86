"""Checks the files and folders which an option file names, before anything is built from them."""

import difflib
import os
import re
from collections.abc import Iterator

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.kinds import extra_of
from gsm_plugin.options.declared.sections import keys_of
from gsm_plugin.options.plan import parts_of
from gsm_plugin.weights.finding import FOLDER, path_of
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS, WeightFile, cure_for_weights_of_another

_DEMO = 'train_gsm_demo'


def expand_paths(options: dict) -> None:
    """Replaces in place, in all paths that are read, a leading ~ by the home folder, and names of weights by files.

    A name is one of `basicsr weights list`, as in `pretrain_network_g: gsm-small-x4`. A path that exists goes first.
    """
    for section, key, _ in _named_paths(options):
        section[key] = str(path_of(section[key])) if _is_of_weights(key) else os.path.expanduser(section[key])


def check_paths(options: dict, resumes: bool) -> None:
    """Refuses a path that does not exist, and public weights of another network than network_g.

    Args:
        options: The option file. Relative paths are relative to the working directory.
        resumes: Whether the run continues from a state, which brings its own networks.

    Raises:
        UserError: The first path that does not exist, or weights that network_g cannot take.
    """
    if not resumes:
        _refuse_weights_of_another_network(options)
    for section, key, where in _named_paths(options):
        if resumes and key.startswith('pretrain_network'):
            continue
        if not os.path.exists(section[key]):
            relative = '' if os.path.isabs(section[key]) else f' in {os.getcwd()}'
            cure = cure_for_missing_path(key, section[key])
            raise UserError(f'{where}{key} is {section[key]}, which does not exist{relative}; {cure}')


def _refuse_weights_of_another_network(options: dict) -> None:
    """Before they are got or read; without strictness, what fits of any weights is taken."""
    path, kind = options.get('path') or {}, (options.get('network_g') or {}).get('type')
    given = path.get('pretrain_network_g')
    known = _known_by_file(given) if isinstance(given, str) else None
    if known is None or not path.get('strict_load_g', True):
        return
    network = known.network.split()[0]
    if cure := cure_for_weights_of_another(network, str(kind)):
        raise UserError(
            f'path:pretrain_network_g is {known.name}, weights of {network}, but network_g is {kind}; {cure}.'
        )


def _known_by_file(path: str) -> WeightFile | None:
    called = {os.path.basename(known.file): known for known in KNOWN_WEIGHTS.values()}
    return called.get(os.path.basename(path))


def _is_of_weights(key: str) -> bool:
    return key == 'spynet_path' or key.startswith('pretrain_network')


def cure_for_missing_path(key: str, path: str) -> str:
    """What to do about a path that does not exist.

    Args:
        key: What names it in an option file.
        path: As it stands there.
    """
    if re.match('https?:/', path):
        return 'files are not fetched: download it, and give its path.'
    if key.startswith('dataroot'):
        return 'put the data there (docs/data.md says how), or correct the path.'
    if key.startswith('meta_info'):
        return 'write the list by basicsr data meta, or correct the path.'
    if found := re.fullmatch(r'experiments/([^/]+)/models/[^/]+', path):
        command = ' (make demo)' if found[1] == _DEMO else ''
        return f'the training {found[1]} writes it{command}: run that first, or correct the path.'
    known = _known_by_file(path)
    if known is None and _is_of_weights(key) and path == os.path.basename(path) and not os.path.splitext(path)[1]:
        near = difflib.get_close_matches(path, KNOWN_WEIGHTS, n=1, cutoff=0.0)[0]
        return f'give a path, or a name of basicsr weights list; did you mean {near}?'
    if known is None and key == 'spynet_path':
        known = KNOWN_WEIGHTS['spynet']
    if known is None:
        return 'correct the path.'
    other = ' (or spynet-of-basicvsr)' if known.name == 'spynet' else ''
    return f'correct the path, or get it by basicsr weights get {known.name}{other}, which puts it into {FOLDER}.'


def _named_paths(options: dict) -> Iterator[tuple[dict, str, str]]:
    for part in parts_of(options):
        patterns = [key for key in keys_of(part.declared) if extra_of(key.kind, 'exists')]
        for name, value in part.section.items():
            if isinstance(value, str) and any(key.fits(name) for key in patterns):
                yield part.section, name, part.where
