"""Reads option files and `--force_yml` values as plain data, without ever executing what is in them."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.everything import every_key
from gsm_plugin.options.declared.kinds import extra_of

_MERGE = 'tag:yaml.org,2002:merge'
_DIGITS = r'\d[\d_]*'
_FLOAT = (
    rf'[-+]?(?:\.{_DIGITS}|{_DIGITS}\.[\d_]*)(?:[eE][-+]?\d+)?|[-+]?{_DIGITS}[eE][-+]?\d+'
    r'|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)'
)
_INT = r'[-+]?(?:0|[1-9][\d_]*|0x[\da-fA-F_]+|0b[01_]+)'

# Keys whose value is a text whatever YAML takes it for: a run called yes, a folder called 1e5, weights called 007.
_TEXT_KEYS = {key.name for _, key in every_key() if extra_of(key.kind, 'as_written')}
_NOT_AS_WRITTEN = ('tag:yaml.org,2002:bool', 'tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')


class OptionLoader(yaml.SafeLoader):
    """YAML with ordered mappings, no duplicate keys, and numbers as people write them.

    YAML 1.1 takes 2e-4 for a text, 010 for eight and 1:30 for ninety; here they are 0.0002, '010' and '1:30'. Keys,
    and the values of keys that want a text, are as they are written: yes is no truth there, and 1e5 no number.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (the attribute that PyYAML looks for)
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((':int', ':float', ':timestamp'))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_options(self, node: yaml.MappingNode):
        """Builds an ordered mapping, in two steps as PyYAML wants it for anchors that refer to themselves."""
        options: OrderedDict[str, object] = OrderedDict()
        yield options
        seen = set()
        for key_node, _ in node.value:
            key = None if key_node.tag == _MERGE else self._key(key_node)
            if key is not None and key in seen:
                raise ConstructorError(problem=f'the key {key} stands twice', problem_mark=key_node.start_mark)
            seen.add(key)
        self.flatten_mapping(node)
        for key_node, value_node in node.value:
            key = self._key(key_node)
            as_written = wants_text(key) and value_node.tag in _NOT_AS_WRITTEN
            options[key] = value_node.value if as_written else self.construct_object(value_node, deep=True)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise ConstructorError(problem='a key must be a plain word', problem_mark=node.start_mark)
        return node.value


OptionLoader.add_implicit_resolver('tag:yaml.org,2002:int', re.compile(f'^(?:{_INT})$'), list('-+0123456789'))
OptionLoader.add_implicit_resolver('tag:yaml.org,2002:float', re.compile(f'^(?:{_FLOAT})$'), list('-+.0123456789'))
OptionLoader.add_constructor('tag:yaml.org,2002:map', OptionLoader.construct_options)


def wants_text(key: str) -> bool:
    """Whether the value of a key is a text as it is written, such as a name or a path."""
    return any(fnmatchcase(key, pattern) for pattern in _TEXT_KEYS)


def read_options(path: str) -> OrderedDict:
    """Reads an option file.

    Args:
        path: The file, YAML.

    Returns:
        Its content as nested ordered dictionaries.

    Raises:
        UserError: The file is missing, is no YAML, holds something else than plain values, or has a key twice. The
            text names the file and, where there is one, the line.
    """
    if not Path(path).is_file():
        what = 'is a folder' if Path(path).is_dir() else 'does not exist'
        raise UserError(f'The option file {path} {what}; -opt names a YAML file.')
    try:
        options = yaml.load(Path(path).read_text(encoding='utf-8'), Loader=OptionLoader)
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is no text in UTF-8, so no option file; name a YAML file.') from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f'{path}{_explain(error)}') from error
    if not isinstance(options, OrderedDict):
        raise UserError(f'{path} holds no options; it needs lines such as "name: my_experiment".')
    return options


def force_options(options: dict, entries: Sequence[str]) -> None:
    """Sets options in place, as `--force_yml` does it.

    Args:
        options: What an option file holds.
        entries: Texts such as 'train:optim_g:lr=1e-4'; a section that is missing is made, to be checked with the rest.

    Raises:
        UserError: An entry is not of that form, or goes into something that is no section.
    """
    for entry in entries:
        path, equals, text = entry.partition('=')
        keys = [key.strip() for key in path.split(':')]
        if not equals or not all(keys):
            raise UserError(f'--force_yml takes entries such as train:optim_g:lr=1e-4, not {entry!r}.')
        section = options
        for depth, key in enumerate(keys[:-1], 1):
            section = section.setdefault(key, OrderedDict())
            if not isinstance(section, dict):
                raise UserError(f'--force_yml {entry}: {":".join(keys[:depth])} is {section!r}, not a section.')
        section[keys[-1]] = parse_value(text, as_text=wants_text(keys[-1]))


def parse_value(text: str, as_text: bool = False) -> object:
    """Reads one value of `--force_yml`: a number, true, false, none or ~, a list such as [1, 2], otherwise the text.

    Args:
        text: What stands behind the equals sign.
        as_text: Whether numbers, true and false are texts too.

    Raises:
        UserError: A list, mapping or tagged value is no YAML.
    """
    text = text.strip()
    if text.startswith(('[', '{', '!', '"', "'")):
        try:
            return _none_for_text(yaml.load(text, Loader=OptionLoader))
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f'--force_yml: {text} cannot be read{_explain(error, with_line=False)}') from error
    # Not as a document: a colon or a hash sign inside a path is no syntax here.
    loader = OptionLoader('')
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    if as_text and tag in _NOT_AS_WRITTEN:
        return text
    return _none_for_text(loader.construct_object(yaml.ScalarNode(tag, text)))


def look_up(options: dict, path: str) -> Any:
    """The value at a path such as 'train:optim_g:lr', or None where there is none."""
    value: object = options
    for key in path.split(':'):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _none_for_text(value: object) -> object:
    if isinstance(value, list):
        return [_none_for_text(item) for item in value]
    if isinstance(value, dict):
        return OrderedDict((key, _none_for_text(item)) for key, item in value.items())
    return None if isinstance(value, str) and value.lower() == 'none' else value


def _explain(error: Exception, with_line: bool = True) -> str:
    mark = getattr(error, 'problem_mark', None)
    where = f', line {mark.line + 1}' if mark is not None and with_line else ''
    problem = str(getattr(error, 'problem', None) or error).split('\n')[0]
    if tag := re.search(r"for the tag '(\S+)'", problem):
        short = tag.group(1).replace('tag:yaml.org,2002:', '!!')
        return f'{where}: the tag {short} is refused; options are plain values, and nothing in them is executed.'
    return f'{where}: {problem}.'
