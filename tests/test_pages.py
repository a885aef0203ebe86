"""Pages for people: short sentences, links that lead somewhere, tables that are made from records."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'options/README.md',
    *sorted((ROOT / 'docs').glob('*.md')),
]
MOST_WORDS = 40
COMMIT = re.compile(r'\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7}\b')


def name_of(page):
    return str(page.relative_to(ROOT))


def prose(text):
    """Text without code, tables, pictures and headings; the target of a link is no word."""
    text = re.sub(r'```.*?```', '\n\n', text, flags=re.DOTALL)
    text = re.sub(r'^\s*(\||#|!\[|<!--).*$', '', text, flags=re.MULTILINE)
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', text)
    return re.sub(r'`[^`]*`', 'code', text)


def sentences(text):
    for paragraph in re.split(r'\n\s*\n|\n\s*(?=[-*] |\d+\. )', prose(text)):
        yield from re.split(r'(?<=[.!?:])\s+(?=[A-Z"`(])', ' '.join(paragraph.split()))


def anchors(page):
    headings = re.findall(r'^#+ (.*)$', page.read_text(encoding='utf-8'), flags=re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_sentences_are_found_as_people_read_them():
    text = 'One is `a.b. C`. Two\ngoes on.\n\n- three\n- four. Five: Six\n\n| a. B |\n```\nx. Y\n```\n'
    assert list(filter(None, sentences(text))) == ['One is code.', 'Two goes on.', '- three', '- four.', 'Five:', 'Six']


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_no_sentence_is_too_long(page):
    found = [sentence for sentence in sentences(page.read_text(encoding='utf-8')) if len(sentence.split()) > MOST_WORDS]
    assert not found


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_commits_stand_in_tables_and_not_in_prose(page):
    assert not COMMIT.findall(prose(page.read_text(encoding='utf-8')))


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links_lead_to_pages_and_headings_that_are_there(page):
    for target, heading in re.findall(r'\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)', page.read_text(encoding='utf-8')):
        there = (page.parent / target) if target else page
        assert there.exists(), target
        assert not heading or heading in anchors(there), f'{target}#{heading}'


def test_the_readme_is_short():
    assert len((ROOT / 'README.md').read_text(encoding='utf-8').splitlines()) <= 150


def test_speed_tables_are_those_of_their_records(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'scripts'))
    import speed_table

    for name in speed_table.PAGES:
        text = (ROOT / name).read_text(encoding='utf-8')
        assert 'fps' in speed_table.BLOCK.search(text)[3]
        assert speed_table.filled(text) == text
    sys.modules.pop('speed_table')


def test_tables_of_precisions_are_those_of_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'scripts'))
    import precision_table

    text = precision_table.PAGE.read_text(encoding='utf-8')
    assert 'bfloat16' in precision_table.BLOCK.search(text)[2]
    assert precision_table.filled(text) == text
    sys.modules.pop('precision_table')


def test_every_script_has_a_line():
    text = (ROOT / 'scripts/README.md').read_text(encoding='utf-8')
    missing = [path.name for path in (ROOT / 'scripts').glob('*.py') if f'`{path.name}`' not in text]
    # a module of the scripts, not one itself
    assert missing in ([], ['small_training.py'])


def test_every_option_file_has_a_line():
    text = (ROOT / 'options/README.md').read_text(encoding='utf-8')
    named = {name for names in re.findall(r'`([^`]*)`', text) for name in _expanded(names)}
    assert not [path.name for path in (ROOT / 'options').glob('*.yml') if path.name not in named]


def _expanded(name):
    braces = re.match(r'(.*)\{([^}]*)\}(.*)', name)
    return [f'{braces[1]}{part}{braces[3]}' for part in braces[2].split(',')] if braces else [name]
