"""A section of an option file as a class: its keys are declared by annotations, and read with their defaults."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import msgspec

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.kinds import alternatives, check_value, takes_none, text_of

REQUIRED = msgspec.NODEFAULT
_S = TypeVar('_S', bound='Section')


@dataclass(frozen=True)
class Key:
    """What is declared of a key.

    Attributes:
        name: In option files; with wildcards for keys that end in the letter of a network, such as `optim_*`.
        attribute: Of the section.
        kind: Its annotation, or the class of the section that it holds.
        default: `REQUIRED` where there is none.
        text: One line on what it is for.
    """

    name: str
    attribute: str
    kind: object
    default: object
    text: str

    @property
    def section(self) -> type['Section'] | None:
        """The class of the section that it holds, if it holds one."""
        plain = [getattr(one, '__origin__', one) for one in alternatives(self.kind)]
        return next((one for one in plain if isinstance(one, type) and issubclass(one, Section)), None)

    def fits(self, name: str) -> bool:
        """Whether a key of a file is this one."""
        return fnmatchcase(name, self.name)


class Section(msgspec.Struct, frozen=True):
    """Base of the declared sections."""

    @classmethod
    def read(cls: type[_S], section: Mapping, where: str) -> _S:
        """Reads and checks a section; keys that are not declared here are for others.

        Args:
            section: As the file has it.
            where: What messages put before a key, such as 'train:'.

        Raises:
            UserError: A key is missing or its value wrong.
        """
        return cls(**{key.attribute: _read(key, section, where) for key in keys_of(cls)})


def read_key(cls: type[Section], name: str, section: Mapping, where: str) -> Any:
    """Reads a single key of a section, as it is declared.

    Raises:
        UserError: See `Section.read`.
    """
    return _read(next(key for key in keys_of(cls) if key.name == name), section, where)


def require_key(cls: type[Section], name: str, section: Mapping, where: str) -> None:
    """Refuses a section that lacks a key which may be left out elsewhere.

    Raises:
        UserError: It is missing or empty.
    """
    if section.get(name) in (None, ''):
        key = next(key for key in keys_of(cls) if key.name == name)
        raise UserError(missing(key, where, is_there=name in section))


@functools.cache
def keys_of(cls: type[Section]) -> tuple[Key, ...]:
    """The declared keys of a section."""
    return tuple(_key(field) for field in msgspec.structs.fields(cls))


def paths_of(cls: type[Section], parent: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """The paths of all keys of a section, those of the sections in it among them."""
    for key in keys_of(cls):
        yield (*parent, key.name), key
        if key.section is not None:
            yield from paths_of(key.section, (*parent, key.name))


def check_key(key: Key, value: object, path: str) -> object:
    """Checks the value of a key, and what is in it where that is a section; see `check_value`."""
    if key.section is None:
        return check_value(value, key.kind, path)
    if not isinstance(value, Mapping):
        raise UserError(f'{path} is {value!r}; it must be a section.')
    return key.section.read(value, f'{path}:')


def _read(key: Key, section: Mapping, where: str) -> object:
    value = section.get(key.name)
    if value is not None or (key.name in section and takes_none(key.kind)):
        return check_key(key, value, f'{where}{key.name}')
    if key.default is REQUIRED:
        raise UserError(missing(key, where, is_there=key.name in section))
    return key.default


def missing(key: Key, where: str, is_there: bool) -> str:
    """The sentence on a key that has to be there."""
    found = 'empty (~ or null; in quotes they are words)' if is_there else 'missing'
    return f'{where}{key.name} is {found}; set it: {key.text}.'


def _key(field: msgspec.structs.FieldInfo) -> Key:
    default = field.default if field.default_factory is REQUIRED else field.default_factory()
    return Key(field.encode_name, field.name, field.type, default, text_of(field.type))


def field(name: str, default: object) -> Any:
    """A key whose name is no attribute's, or whose default is a section, a list or a mapping."""
    if isinstance(default, list | dict | Section):
        return msgspec.field(name=name, default_factory=lambda: default)
    return msgspec.field(name=name, default=default)
