"""docs/python.md runs from top to bottom, and prints what stands behind its lines."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / 'docs/python.md'
BLOCKS = re.findall(r'^```python\n(.*?)^```', PAGE.read_text(), re.DOTALL | re.MULTILINE)
# print(...), its result behind it
PRINTED = re.compile(r'^ *print\(.*\)  # (.*)$', re.MULTILINE)


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), 'exec'), names)
        printed = capsys.readouterr().out.splitlines()
        expected = PRINTED.findall(block)
        assert [line for line in printed if line in expected] == expected, printed
    assert names['half'].precision == 'bf16'
    assert 'taken for granted' in names['restorer'].describe()
    assert names['error'] < 1e-4


def test_every_example_is_run():
    assert len(BLOCKS) == 7
    assert sum(len(PRINTED.findall(block)) for block in BLOCKS) == 12


@pytest.mark.parametrize('word', ['precision', 'stream', 'with_tile', 'describe', 'self_ensemble'])
def test_the_page_has_what_people_look_for(word):
    assert word in PAGE.read_text()
