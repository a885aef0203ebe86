"""A JSON schema of option files, by which editors complete keys, show what they are for and mark wrong values."""

import json
import re
from collections.abc import Iterable
from typing import Optional

import msgspec

from gsm_plugin.options.catalogue import argument_texts, our_networks
from gsm_plugin.options.declared import run_sections, set_sections, val_section
from gsm_plugin.options.declared.everything import EVERY_RUN, LOOP, OF_MODELS, OF_SETS, OUR_SETS, Network, every_key
from gsm_plugin.options.declared.sections import REQUIRED, Key, Section, keys_of
from gsm_plugin.options.host import host_table
from gsm_plugin.options.signatures import parameters
from gsm_plugin.options.types import kind_of

HEADER = '# yaml-language-server: $schema=schema.json'
"""The first line of an option file that lies beside the schema."""

_NESTED = {key.section for _, key in every_key() if key.section is not None}


def schema_text() -> str:
    """The schema as a file has it."""
    return json.dumps(make_schema(), indent=1) + '\n'


def make_schema() -> dict:
    """The schema; keys that are not declared are left to `basicsr`, which knows the classes."""
    sections = {}
    for path in [path for path in dict.fromkeys((*EVERY_RUN, *OF_MODELS)) if path]:
        classes = [*EVERY_RUN.get(path, ()), *OF_MODELS.get(path, ())]
        classes += [LOOP[path]] if path in LOOP else []
        sections[path[0]] = _object(*classes)
    sections['val']['properties']['metrics']['additionalProperties'] = _object(val_section.Metric)
    sections['datasets'] = {'type': 'object', 'additionalProperties': _data_set()}
    top = _object(run_sections.Run, run_sections.LoopRun)
    return {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        'title': 'Option files of basicsr train and basicsr test',
        **top,
        'properties': {**top['properties'], **sections},
        'patternProperties': {'^network_': _network()},
        'required': [key.name for key in keys_of(run_sections.Run) if key.default is REQUIRED] + ['datasets'],
        '$defs': {name: _object(declared) for name, declared in OUR_SETS.items()}
        | {one.__name__: _object(one) for one in sorted(_NESTED, key=lambda one: one.__name__)},
    }


def _object(*classes: type[Section]) -> dict:
    keys = [key for one in classes for key in keys_of(one)]
    made = {'type': 'object', 'properties': {key.name: _key(key) for key in keys if '*' not in key.name}}
    patterns = {_regex(key.name): _key(key) for key in keys if '*' in key.name}
    return made | ({'patternProperties': patterns} if patterns else {})


def _key(key: Key) -> dict:
    if key.section is not None:
        where = {'$ref': f'#/$defs/{key.section.__name__}'}
        return {'description': key.text, **(where if key.default is REQUIRED else {'anyOf': [where, {'type': 'null'}]})}
    if key.default is REQUIRED:
        return {**msgspec.json.schema(key.kind), 'description': key.text}
    # ~ is as good as leaving a key out
    made = msgspec.json.schema(Optional[key.kind])  # noqa: UP045 (annotations with metadata know no |)
    return {**made, 'description': key.text, 'default': msgspec.to_builtins(key.default)}


def _data_set() -> dict:
    part = {**_object(set_sections.Part), 'allOf': _by_type(OUR_SETS)}
    part['properties']['type'] = _one_of(OUR_SETS)
    made = _object(*OF_SETS[:2])
    made['properties']['type'] = _one_of([*OUR_SETS, *(name for name in host_table() if name.endswith('Dataset'))])
    made['properties']['parts'] = {'type': 'object', 'additionalProperties': part}
    of_the_host = {'if': {'properties': {'type': {'not': {'enum': list(OUR_SETS)}}}}, 'then': _object(OF_SETS[2])}
    return made | {'allOf': [*_by_type(OUR_SETS), of_the_host]}


def _network() -> dict:
    networks = our_networks()
    cases = [{'if': _is(cls.__name__), 'then': _arguments(cls)} for cls in networks]
    names = {'type': _one_of([cls.__name__ for cls in networks])}
    return {**_object(Network), 'properties': names, 'required': ['type'], 'allOf': cases}


def _arguments(cls: type) -> dict:
    texts, properties = argument_texts(cls), {}
    for one in parameters(cls):
        kind = kind_of(one)
        made = {'description': texts[one.name], **(msgspec.json.schema(kind) if kind else {})}
        properties[one.name] = made if one.default is one.empty else made | {'default': one.default}
    return {'properties': properties}


def _by_type(names: dict) -> list[dict]:
    return [{'if': _is(name), 'then': {'$ref': f'#/$defs/{name}'}} for name in names]


def _is(name: str) -> dict:
    return {'properties': {'type': {'const': name}}, 'required': ['type']}


def _one_of(names: Iterable[str]) -> dict:
    """Known names, which editors offer, or any other, of a class of the user's own."""
    return {'anyOf': [{'enum': list(names)}, {'type': 'string'}]}


def _regex(pattern: str) -> str:
    return f'^{".*".join(map(re.escape, pattern.split("*")))}$'
