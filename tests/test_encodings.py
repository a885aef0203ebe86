"""Text is read and written in an encoding that is named, so that a file means the same on every system."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / 'setup.py', *sorted((ROOT / 'gsm_plugin').rglob('*.py')), *sorted((ROOT / 'scripts').rglob('*.py'))]


def mode_of(call):
    """The mode of a call of `open`; None where it is unknown, as of `x.open()`, which may open anything."""
    is_method = isinstance(call.func, ast.Attribute)
    given = [keyword.value for keyword in call.keywords if keyword.arg == 'mode']
    given += call.args[0:1] if is_method else call.args[1:2]
    if not given:
        return None if is_method else 'r'
    return given[0].value if isinstance(given[0], ast.Constant) else None


def opens_text(call):
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, 'attr', '')
    if isinstance(call.func, ast.Attribute) and name in ('read_text', 'write_text'):
        return True
    if name == 'open':
        mode = mode_of(call)
        return isinstance(mode, str) and set(mode) <= set('rwax+t')
    return name in ('run', 'Popen', 'check_output') and any(keyword.arg == 'text' for keyword in call.keywords)


def nameless(source):
    """Lines of the calls that read or write text without naming its encoding."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if opens_text(call) and not any(keyword.arg == 'encoding' for keyword in call.keywords)
    ]


def test_text_names_its_encoding():
    found = {path.relative_to(ROOT).as_posix(): nameless(path.read_text(encoding='utf-8')) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_test_finds_what_it_looks_for():
    lines = (
        'path.read_text()\npath.write_text(text)\nopen(path)\nopen(path, "w")\npath.open("a")\n'
        'run(words, text=True)\nopen(path, "rb")\npath.open("wb")\nlmdb.open(path)\nencoder.open()\n'
        'open(path, encoding="utf-8")\n'
    )
    assert nameless(lines) == [1, 2, 3, 4, 5, 6]
