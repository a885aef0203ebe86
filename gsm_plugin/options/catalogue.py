"""All keys that are known without an option file, for people who look one up."""

import difflib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.everything import every_place
from gsm_plugin.options.declared.kinds import words
from gsm_plugin.options.declared.sections import REQUIRED, Section, paths_of
from gsm_plugin.options.host import host_table
from gsm_plugin.options.signatures import parameters
from gsm_plugin.options.types import kind_of

_NEEDED = 'needed'
# How much names have in common where one is taken for the other, misspelt.
_ALIKE = 0.7


@dataclass(frozen=True)
class Entry:
    """What is known of a key.

    Attributes:
        path: Such as 'train:total_iter' or 'datasets:*:num_frame'.
        kind: What its value must be; nothing where that is not known.
        default: What holds without it; nothing where that is not known.
        text: One line on what it is for.
        reader: Who reads it.
    """

    path: str
    kind: str
    default: str
    text: str
    reader: str

    @property
    def lines(self) -> str:
        """Path and text in one line, type and default in another."""
        return f'{self.path}: {self.text}\n    {self.told_of_value}'

    @property
    def told_of_value(self) -> str:
        """Type and default; nothing where they are not known."""
        default = self.default if self.default == _NEEDED else f'default {self.default}'
        return f'{self.kind}; {default}' if self.kind else ''


def entries() -> list[Entry]:
    """All keys, in the order of an option file; a key that several read in different ways has several entries."""
    found = [
        Entry(':'.join(path), words(key.kind), shown(key.default), key.text, reader)
        for parent, declared, reader in every_place()
        for path, key in paths_of(declared, parent)
    ]
    found += _arguments()
    known = {entry.path for entry in found}
    host = [one for one in _of_the_host() if not any(fits(path, one.path) for path in known)]
    return found + sorted(host, key=lambda one: one.path)


def find_key(name: str) -> list[Entry]:
    """The entries of a key, or those of the keys of a section.

    Args:
        name: A path such as train:total_iter, a section such as train, or a key alone, such as total_iter.

    Raises:
        UserError: There is none; the text has the nearest ones.
    """
    everything = entries()
    exact = [entry for entry in everything if fits(entry.path, name)]
    below = [entry for entry in everything if entry.text and _is_below(entry.path, name)]
    if below and not any(entry.text for entry in exact):
        return below
    found = exact or [entry for entry in everything if fnmatchcase(name, entry.path.split(':')[-1])]
    if found:
        return found
    end = name.split(':')[-1]
    near = dict.fromkeys(entry.path for entry in everything if entry.path.split(':')[-1] == end)
    near |= dict.fromkeys(difflib.get_close_matches(name, [entry.path for entry in everything], 3, _ALIKE))
    last = {entry.path.split(':')[-1]: entry.path for entry in reversed(everything)}
    last |= {section: section for section in (entry.path.split(':')[0] for entry in everything if ':' in entry.path)}
    near |= dict.fromkeys(last[one] for one in difflib.get_close_matches(end, last, 3, _ALIKE))
    hint = f'; did you mean {", ".join([*near][:3])}?' if near else ', or nearly so;'
    raise UserError(f'No key is called {name!r}{hint} basicsr options lists all.')


def _is_below(path: str, section: str) -> bool:
    """Whether a key is in a section or further inside."""
    number = len(section.split(':'))
    parts = path.split(':')
    return len(parts) > number and fits(':'.join(parts[:number]), section)


def describe(found: list[Entry]) -> Iterator[str]:
    """Lines on the entries of a key or of several, those that say the same together."""
    for (path, text, value), same in groupby(found, lambda one: (one.path, one.text, one.told_of_value)):
        yield path
        yield from (f'  {line}' for line in (text, value) if line)
        yield f'  read by {", ".join(one.reader for one in same)}'


def shown(default: object) -> str:
    """A default as option files have it."""
    if default is REQUIRED:
        return _NEEDED
    if isinstance(default, Section):
        return 'as its keys say'
    if isinstance(default, tuple | list):
        return f'[{", ".join(map(shown, default))}]'
    if isinstance(default, dict):
        return '{' + ', '.join(f'{key}: {shown(value)}' for key, value in default.items()) + '}'
    if isinstance(default, bool):
        return str(default).lower()
    return '~' if default is None else str(default)


def argument_texts(cls: type) -> dict[str, str]:
    """The first sentence on each argument in the docstring of a class, as declarations have theirs."""
    section = (inspect.getdoc(cls) or '').partition('Args:\n')[2].partition('\n\n')[0]
    texts = re.findall(r'^    (\w+): (.*(?:\n {8}.*)*)', section, re.M)
    sentences = {name: ' '.join(text.split()).split('. ')[0].rstrip('.') for name, text in texts}
    # which options write as ~
    return {name: (text[0].lower() + text[1:]).replace('None', '~') for name, text in sentences.items()}


def our_networks() -> tuple[type, ...]:
    """The networks whose arguments are keys of ours."""
    from gsm_plugin.archs.bicubic_arch import Bicubic
    from gsm_plugin.archs.gsm_arch import GSMamba
    from gsm_plugin.archs.vrt_arch import VRT

    return GSMamba, VRT, Bicubic


def _arguments() -> Iterator[Entry]:
    for cls in our_networks():
        texts = argument_texts(cls)
        for one in parameters(cls):
            kind = kind_of(one)
            default = _NEEDED if one.default is one.empty else shown(one.default)
            yield Entry(f'network_g:{one.name}', words(kind) if kind else '', default, texts[one.name], cls.__name__)


def _of_the_host() -> Iterator[Entry]:
    for name, paths in host_table().items():
        for path in paths:
            whole = f'datasets:*:{path}' if name.endswith('Dataset') else path
            yield Entry(whole, '', '', '', f"BasicSR's {name}")


def fits(pattern: str, path: str) -> bool:
    """Whether the path of a key in a file is one of an entry, which may have wildcards."""
    parts, names = pattern.split(':'), path.split(':')
    return len(parts) == len(names) and all(map(fnmatchcase, names, parts))
