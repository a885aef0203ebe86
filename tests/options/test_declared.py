"""Declarations: what they take, what they say, and what they read."""

import math
import subprocess
import sys
from typing import Annotated, Literal

import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.options.declared.everything import every_key
from gsm_plugin.options.declared.kinds import (
    AboveZero,
    AsWritten,
    FromZero,
    Odd,
    Positive,
    Seed,
    Share,
    Span,
    Steps,
    Weights,
    about,
    check_value,
    drawn_from,
    within,
    words,
)
from gsm_plugin.options.declared.sections import REQUIRED, Section, field, keys_of, paths_of, read_key


class Inner(Section, frozen=True):
    depth: Annotated[Positive, about('how deep it is')] = 2


class Outer(Section, frozen=True):
    needed: Annotated[Positive, about('what has to be there')]
    limit: Annotated[AboveZero | None, about('how far it goes', none='for no limit')] = 3.0
    inner: Annotated[Inner, about('what is in it')] = field('inner', Inner())
    lists: Annotated[list[str], about('some words')] = field('lists', [])
    ending: Annotated[AsWritten | None, about('what it ends in')] = field('ending_*', None)


@pytest.mark.parametrize(
    'kind, expected',
    [
        (Positive, 'a whole number from 1 up'),
        (FromZero, 'a whole number from 0 up'),
        (Seed, 'a whole number from 0 to 4294000000'),
        (int, 'a whole number'),
        (AboveZero, 'a number above 0'),
        (Share, 'a number from 0 to 1'),
        (float, 'a number'),
        (bool, 'true or false'),
        (str, 'a text'),
        (str | None, 'a text'),
        (Literal['a', 'b'], 'a or b'),
        (Literal['a', 'b', 'c'], 'one of a, b, c'),
        (list[str], 'a list of texts'),
        (list[float], 'a list of numbers'),
        (dict, 'a section'),
        (Annotated[Literal['cpu', 'cuda'] | None, about('x', none='for none')], 'cpu or cuda, or ~ for none'),
        (Annotated[Span, within(0, 0.5)], 'a range [least, greatest] between 0 and 0.5'),
        (Annotated[Weights, drawn_from(('a', 'b'))], 'weights from 0 up of a, b, such as {a: 1}'),
    ],
)
def test_a_type_is_called_what_people_call_it(kind, expected):
    assert words(kind) == expected


@pytest.mark.parametrize(
    'kind, value, expected',
    [
        (Positive, 5e3, 5000),
        (AboveZero, 3, 3.0),
        (Annotated[Span, within(0, 2)], [0, 2], (0.0, 2.0)),
        (Annotated[Weights, drawn_from(('a', 'b'))], {'b': 2}, {'b': 2.0}),
        (str | None, None, None),
        (Odd, 3, 3),
        (Steps, [1, 2], [1, 2]),
    ],
)
def test_right_values_are_taken_as_their_type(kind, value, expected):
    actual = check_value(value, kind, 'x')
    assert actual == expected
    assert type(actual) is type(expected)


@pytest.mark.parametrize(
    'kind, value',
    [
        *[(Positive, value) for value in (0, 1.5, True, '1', None, [1], 1e400)],
        *[(AboveZero, value) for value in (0, -1, True, 'a', math.inf, math.nan)],
        *[(float, value) for value in (math.inf, -math.inf, math.nan)],
        *[(list[float], value) for value in ([math.nan], 3, ['a'])],
        *[(Annotated[Span, within(0, 2)], value) for value in ([1, 0], [0, 3], [0], 1, [math.nan, 1])],
        *[(Annotated[Weights, drawn_from(('a',))], value) for value in ({}, {'a': 0}, {'b': 1}, {'a': -1}, ['a'])],
        *[(Steps, value) for value in ([], [0], 1)],
        *[(Odd, value) for value in (2, -1, 3.5)],
        (bool, 1),
        (str, 3),
    ],
)
def test_a_wrong_value_is_one_sentence_with_value_and_cure(kind, value):
    with pytest.raises(UserError) as error:
        check_value(value, kind, 'a:b')
    assert str(error.value).startswith(f'a:b is {value!r}; it must be {words(kind)}')


def test_a_long_value_is_shown_in_part():
    with pytest.raises(UserError, match=r'^x is \[0, 1, .*\.\.\.; it must be a text\.$'):
        check_value(list(range(100)), str, 'x')


def test_what_is_left_out_or_is_no_value_of_its_own_has_its_default():
    read = Outer.read({'needed': 1, 'lists': None, 'inner': {'depth': None}}, '')
    assert (read.limit, read.inner.depth, read.lists) == (3.0, 2, [])
    assert Outer.read({'needed': 1, 'limit': None}, '').limit is None
    assert read_key(Outer, 'limit', {}, '') == 3.0


@pytest.mark.parametrize(
    'section, expected',
    [
        ({}, 'here:needed is missing; set it: what has to be there.'),
        ({'needed': None}, 'here:needed is empty (~ or null; in quotes they are words); set it: what has to be there.'),
        ({'needed': 1, 'limit': 0}, 'here:limit is 0; it must be a number above 0, or ~ for no limit.'),
        ({'needed': 1, 'inner': 3}, 'here:inner is 3; it must be a section.'),
        ({'needed': 1, 'inner': {'depth': 0}}, 'here:inner:depth is 0; it must be a whole number from 1 up.'),
    ],
)
def test_a_wrong_section_is_one_sentence(section, expected):
    with pytest.raises(UserError) as error:
        Outer.read(section, 'here:')
    assert str(error.value) == expected


def test_paths_go_into_the_sections_of_a_section():
    assert [':'.join(path) for path, _ in paths_of(Outer)] == [
        *('needed', 'limit', 'inner', 'inner:depth', 'lists', 'ending_*')
    ]
    assert keys_of(Outer)[-1].fits('ending_g')


KEYS = {':'.join(path): key for path, key in every_key()}


@pytest.mark.parametrize('path', KEYS)
def test_every_key_says_in_a_line_what_it_is_for(path):
    text = KEYS[path].text
    assert text
    assert len(text) <= 120
    assert not text.endswith('.')
    assert '\n' not in text


@pytest.mark.parametrize('path', [path for path, key in KEYS.items() if key.default not in (None, REQUIRED)])
def test_every_default_is_a_right_value(path):
    key = KEYS[path]
    if key.section is None:
        assert check_value(key.default, key.kind, path) == key.default


def test_declarations_cost_no_torch_and_no_basicsr():
    script = 'import sys, gsm_plugin.options.declared.everything; print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not {'torch', 'basicsr', 'cv2', 'numpy', 'yaml'} & set(done.stdout.split())
