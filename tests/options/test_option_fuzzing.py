"""Option files and forced options as an accident or an attacker writes them: each is read, or refused in a sentence.

With more cases, and others each time: FUZZ_CASES=2000 python -m pytest tests/options/test_option_fuzzing.py
"""

import argparse
import os
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gsm_plugin.errors import UserError
from gsm_plugin.options.file_check import check_option_file
from gsm_plugin.options.reading import force_options, read_options
from gsm_plugin.pipelines.preparing import prepare_options
from gsm_plugin.registration import register_all
from tests import tiny_project

CASES = int(os.environ.get('FUZZ_CASES', '50'))
FUZZ = settings(
    max_examples=CASES,
    deadline=None,
    derandomize='FUZZ_CASES' not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SHIPPED = sorted((Path(__file__).parents[2] / 'options').glob('t*_*.yml'))
# Each would leave a file behind.
ATTACKS = (
    "!!python/object/apply:os.mkdir ['harmed']",
    "!!python/object/new:os.mkdir ['harmed']",
    "!!python/object/apply:builtins.open ['harmed', 'w']",
    "!!python/object/apply:builtins.exec [\"open('harmed', 'w')\"]",
    "!!python/object/apply:subprocess.call [['touch', 'harmed']]",
    '!!python/name:os.system',
    '!!python/module:os',
    '!!python/tuple [1, 2]',
    '!!binary aGFybWVk',
    '!!set {a, b}',
    '!!omap [a: 1]',
    '!Custom {a: 1}',
    "${open('harmed', 'w')}",
    "__import__('os').mkdir('harmed')",
    '*unknown',
    '&loop [*loop]',
    '&loop {a: *loop}',
    '{<<: 3}',
    '{<<: [1, 2]}',
)
SYNTAX = ('', '\t', '\n', ': ', '- ', '{', '[', '"', '#', '&a ', '*a', '<<: *a', '|', '>')
OPTIONS = deepcopy(tiny_project.OPTIONS) | {
    'model_type': 'GSMModel',
    'network_g': {
        'type': 'GSMamba',
        'upscale': 2,
        'prop_depth': 2,
        'attn_depth': 1,
        'pa_frame': 1,
        'embed_dims': 4,
        'num_heads': 1,
        'window_size': [1, 2, 2],
        'spynet_path': None,
        'anchor': 'center',
        'ssm_init': 'mamba',
    },
}
OPTIONS['train'] |= {'freeze': ['spynet.*'], 'precision': 'fp32', 'accumulate_iter': 1, 'grad_clip_norm': 1.0}
OPTIONS['val'] |= {'tile': [2, 8, 8], 'tile_overlap': [0, 2, 2], 'use_ema': True}

words = st.sampled_from(
    ['', 'a', 'train', 'REDS4', 'GSMModel', 'type', 'disk', '~', 'none', 'x:y', '../x', '\x00', 'ü']
)
# No large whole numbers: a network that large is right, and not built here.
numbers = st.sampled_from([-1, 0, 1, 2, 3, 0.5, -0.0, 1e-4, 1e300, float('inf'), float('nan'), True, False, None])
values = st.recursive(
    numbers | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from([1, None, 'lr']), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.fixture
def folder(project):
    """The tiny project, in which nothing may appear."""
    register_all()
    before = sorted(os.listdir(project))
    yield project
    assert sorted(set(os.listdir(project)) - {'options.yml'}) == before


def refused_in_a_sentence(function, *arguments):
    """Calls a function, which may return, or end in one sentence; anything else is a failure."""
    try:
        function(*arguments)
    except UserError as error:
        text = str(error)
        assert '\n' not in text.strip(), text
        assert len(text) > 10
        return True
    return False


def read_and_check(path):
    check_option_file(read_options(str(path)), is_train=True)


def prepare(folder, forced=()):
    arguments = {'opt': 'options.yml', 'force_yml': list(forced), 'launcher': 'none'}
    prepare_options(argparse.Namespace(**arguments, auto_resume=False, debug=False), str(folder), True)


@st.composite
def damaged_texts(draw):
    """A shipped option file in which pieces are cut out, doubled, moved in or replaced by something else."""
    text = draw(st.sampled_from(SHIPPED)).read_text()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 40)))
        new = st.sampled_from([*ATTACKS, *SYNTAX, text[start:stop] * 2]) | st.text(max_size=8)
        text = text[:start] + draw(new) + text[stop:]
    return text


def paths_of(section, parent=()):
    for key, value in section.items():
        yield (*parent, key)
        if isinstance(value, dict):
            yield from paths_of(value, (*parent, key))


PATHS = list(paths_of(OPTIONS))


@st.composite
def damaged_options(draw):
    """Right options in which a few values are others, missing, or have other names."""
    options = deepcopy(OPTIONS)
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True)):
        section = options
        for key in path[:-1]:
            section = section.get(key) if isinstance(section, dict) else None
        if not isinstance(section, dict) or path[-1] not in section:
            continue
        how = draw(st.sampled_from(['value', 'value', 'value', 'away', 'name', 'wrapped']))
        old = section.pop(path[-1])
        if how == 'value':
            section[path[-1]] = draw(values)
        elif how == 'name':
            section[draw(words) + path[-1][:-1]] = old
        elif how == 'wrapped':
            section[path[-1]] = [old]
    return options


@FUZZ
@given(text=damaged_texts())
def test_damaged_text_is_read_or_refused(folder, text):
    (folder / 'options.yml').write_text(text, encoding='utf-8', errors='replace')
    refused_in_a_sentence(read_and_check, 'options.yml')


@FUZZ
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode('utf-8', 'replace')))
@example(content=b'\xff\xfe')
@example(content=b'a: ' + b'[' * 5000)
@example(content=b'a: \x00')
def test_anything_at_all_is_read_or_refused(folder, content):
    (folder / 'options.yml').write_bytes(content)
    assert refused_in_a_sentence(read_and_check, 'options.yml')


@FUZZ
@given(options=damaged_options())
def test_wrong_options_are_refused_before_anything_is_made(folder, options):
    (folder / 'options.yml').write_text(yaml.safe_dump(options, sort_keys=False, allow_unicode=True), encoding='utf-8')
    refused_in_a_sentence(prepare, folder)


@FUZZ
@given(
    path=st.lists(st.sampled_from([*{key for path in PATHS for key in path}, '', ' ', 'new']), min_size=1, max_size=4),
    text=st.sampled_from(ATTACKS) | st.text(max_size=20) | values.map(str),
    joint=st.sampled_from([':', '=', '::', ' : ']),
)
def test_forced_options_are_taken_or_refused(folder, path, text, joint):
    refused_in_a_sentence(force_options, deepcopy(OPTIONS), [f'{joint.join(path)}={text}'])


@pytest.mark.parametrize('attack', ATTACKS)
def test_nothing_in_a_file_or_on_the_command_line_is_executed(folder, attack):
    (folder / 'options.yml').write_text(f'name: {attack}\n')
    assert refused_in_a_sentence(read_and_check, 'options.yml')
    tiny_project.write_options(folder / 'options.yml', OPTIONS)
    for entry in (f'name={attack}', f'{attack}=1', f"name'] = {attack}; opt['x={attack}", f'train:freeze={attack}'):
        refused_in_a_sentence(prepare, folder, [entry])


def test_the_options_that_are_damaged_are_right(folder):
    tiny_project.write_options(folder / 'options.yml', OPTIONS)
    assert not refused_in_a_sentence(prepare, folder)
