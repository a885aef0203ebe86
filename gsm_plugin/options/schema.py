"""A JSON schema of option files, by which editors complete keys, show what they are for and mark wrong values."""

import json
import re
from collections.abc import Iterable
from typing import Optional

import msgspec

from gsm_plugin.options.catalogue import argument_texts, our_networks
from gsm_plugin.options.declared import run_sections, set_sections, train_section, val_section
from gsm_plugin.options.declared.everything import EVERY_RUN, LOOP, OF_MODELS, OF_SETS, OUR_SETS, Network, every_key
from gsm_plugin.options.declared.sections import REQUIRED, Key, Section, keys_of
from gsm_plugin.options.host import host_table
from gsm_plugin.options.signatures import parameters
from gsm_plugin.options.types import kind_of

HEADER = '# yaml-language-server: $schema=schema.json'
"""The first line of an option file that lies beside the schema."""

_NESTED = {key.section for _, key in every_key() if key.section is not None}
# Whose other keys are arguments of the class that they name.
_OF_CLASSES = {set_sections.HostBackend, train_section.Loss, train_section.Optimizer, train_section.Scheduler}
_OUR_MODELS = ('GSMModel', 'RecurrentMixPrecisionRTModel')


def schema_text() -> str:
    """The schema as a file has it."""
    return json.dumps(make_schema(), indent=1) + '\n'


def make_schema() -> dict:
    """The schema.

    Sections are closed whose keys are all known. Others, of data sets, networks and models of one's own, are left to
    `basicsr`, which knows the classes.
    """
    sections = {}
    for path in [path for path in dict.fromkeys((*EVERY_RUN, *OF_MODELS)) if path]:
        classes = [*EVERY_RUN.get(path, ()), *OF_MODELS.get(path, ())]
        classes += [LOOP[path]] if path in LOOP else []
        sections[path[0]] = _object(*classes) if path in OF_MODELS else _closed(_object(*classes))
    sections['val']['properties']['metrics']['additionalProperties'] = _object(val_section.Metric)
    sections['datasets'] = {'type': 'object', 'additionalProperties': _data_set()}
    top = _object(run_sections.Run, run_sections.LoopRun)
    return {
        '$schema': 'https://json-schema.org/draft/2020-12/schema',
        'title': 'Option files of basicsr train and basicsr test',
        **top,
        'properties': {**top['properties'], **sections},
        'patternProperties': {'^network_': _network()},
        **_of_known_models({path[0]: sections[path[0]] for path in OF_MODELS}),
        'required': [key.name for key in keys_of(run_sections.Run) if key.default is REQUIRED] + ['datasets'],
        '$defs': {name: _object(declared) for name, declared in OUR_SETS.items()}
        | {one.__name__: _nested(one) for one in sorted(_NESTED, key=lambda one: one.__name__)},
    }


def _nested(section: type[Section]) -> dict:
    return _object(section) if section in _OF_CLASSES else _closed(_object(section))


def _closed(section: dict) -> dict:
    return {**section, 'additionalProperties': False}


def _of_known_models(sections: dict[str, dict]) -> dict:
    """Closes the sections that models read, where the model is ours or BasicSR's."""
    models = {name: keys for name, keys in host_table().items() if name.endswith('Model')}
    read = [path.split(':') for path in sorted({path for keys in models.values() for path in keys})]
    closed = {}
    for name, section in sections.items():
        names = [*section['properties'], *(path[1] for path in read if path[0] == name)]
        patterns = {'patternProperties': dict.fromkeys(section.get('patternProperties', {}), True)}
        closed[name] = _closed({'properties': dict.fromkeys(names, True), **patterns})
    known = {'properties': {'model_type': {'enum': [*_OUR_MODELS, *models]}}, 'required': ['model_type']}
    return {'if': known, 'then': {'properties': closed}}


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
