"""A package imports only the packages below it, and no two modules import each other in a circle."""

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'gsm_plugin'

# From top to bottom; packages of one layer do not import each other.
LAYERS = (
    ('__init__', '__main__'),
    ('cli',),
    ('studies',),
    # a training and a test are run by it, on the packages below
    ('pipelines',),
    ('demo',),
    ('training', 'scoring'),
    ('registration',),
    # what other programs load us by
    ('models', 'data', 'export', 'spandrel', 'vapoursynth'),
    # classes in the packages above say what they read by it; it knows what the packages below can do
    ('options',),
    # the Restorer makes networks, and models run them by it
    ('inference', 'metrics'),
    ('archs',),
    ('weights', 'fast'),
    ('layers',),
    ('ops',),
    ('wheels', 'host_memory', 'processors', 'switches'),
    ('compat', 'files', 'control_groups'),
    ('locks',),
    ('errors', 'numerals', 'version'),
)
HOSTLESS = ('inference', 'metrics', 'weights', 'fast', 'layers', 'ops', 'switches')


def layer(package):
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


def package_of(module):
    parts = module.split('.')
    return parts[1] if len(parts) > 1 else '__init__'


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    if len(parts) == 2:
        return '.'.join(parts)
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


@functools.cache
def modules():
    return {module_name(path): path for path in sorted(PACKAGE.rglob('*.py'))}


def imports(path, everywhere=True):
    """Names of imported modules; `from a import b` gives a, and a.b where that is a module of ours."""
    tree = ast.parse(path.read_text())
    known = modules()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}, line {node.lineno}: imports are absolute here'
            inner = [f'{node.module}.{alias.name}' for alias in node.names]
            ours = [name for name in inner if name in known]
            yield from ours or [node.module]


def own_imports(path, everywhere=True):
    return [name for name in imports(path, everywhere) if name.split('.')[0] == 'gsm_plugin']


@pytest.mark.parametrize('module', modules())
def test_every_module_has_a_package(module):
    assert any(package_of(module) in packages for packages in LAYERS)


@pytest.mark.parametrize('module', modules())
def test_imports_go_downstairs(module):
    here = package_of(module)
    for name in own_imports(modules()[module]):
        there = package_of(name)
        # The package itself is the door: it has the version, and only the command asks for it.
        allowed = there == here or layer(there) > layer(here) or (here == 'cli' and there == '__init__')
        assert allowed, f'{module} ({here}) imports {name} ({there})'


@pytest.mark.parametrize('module', [name for name in modules() if package_of(name) in HOSTLESS])
def test_packages_of_pure_functions_do_not_know_basicsr(module):
    assert not [name for name in imports(modules()[module]) if name.split('.')[0] == 'basicsr']


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {other for other in own_imports(path, everywhere=False) if other in modules()}
        for name, path in modules().items()
        if path.name != '__init__.py'
    }
    assert list(TopologicalSorter(graph).static_order())


def folder_of(module):
    """The folder that a module is in, or the module itself at the top of the package."""
    path = modules()[module]
    return '.'.join(path.parent.relative_to(PACKAGE).parts) or module.split('.')[-1]


def test_no_folders_import_each_other_in_a_circle():
    graph = {}
    for name, path in modules().items():
        # a folder's door hands on what is behind it
        if path.name != '__init__.py':
            files = {other: modules()[other] for other in own_imports(path) if other in modules()}
            others = {folder_of(other) for other, file in files.items() if file.name != '__init__.py'}
            graph.setdefault(folder_of(name), set()).update(others - {folder_of(name)})
    assert list(TopologicalSorter(graph).static_order())
