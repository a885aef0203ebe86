"""Modules of the user's own are imported by name, and what is wrong with them is one sentence."""

import importlib
import sys

import pytest
from basicsr.utils.registry import ARCH_REGISTRY

from gsm_plugin.errors import UserError
from gsm_plugin.pipelines.user_modules import code_of_user_modules, import_user_modules

REGISTERING = """
from basicsr.utils.registry import ARCH_REGISTRY

@ARCH_REGISTRY.register()
class {name}:
    pass
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory; what is imported and registered from it is taken away again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    modules, registered = set(sys.modules), dict(ARCH_REGISTRY._obj_map)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], '__path__', '')) + str(sys.modules[name]):
            del sys.modules[name]
    ARCH_REGISTRY._obj_map.clear()
    ARCH_REGISTRY._obj_map.update(registered)


def write(root, file, text):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def added(texts):
    said, before = [], set(ARCH_REGISTRY._obj_map)
    import_user_modules(texts, said.append)
    return set(ARCH_REGISTRY._obj_map) - before, said


@pytest.mark.parametrize('texts', [['my_archs,my_more'], ['my_archs', 'my_more'], [' my_archs , my_more ', '']])
def test_packages_and_modules_of_the_working_directory_register_what_they_have(project, texts):
    write(project, 'my_archs/__init__.py', 'from my_archs import one_arch')
    write(project, 'my_archs/one_arch.py', REGISTERING.format(name='One'))
    write(project, 'my_more.py', REGISTERING.format(name='More'))
    assert added(texts) == ({'One', 'More'}, [])


def test_a_folder_without_init_stands_for_all_its_files(project):
    for name in ('One', 'Two'):
        write(project, f'my_nets/{name.lower()}.py', REGISTERING.format(name=name))
    write(project, 'my_nets/read-me.txt', '')
    assert added(['my_nets']) == ({'One', 'Two'}, [])


def test_a_file_elsewhere_is_taken_by_its_path_and_finds_its_neighbours(project):
    write(project, 'else where/my_file.py', 'import my_neighbour\n' + REGISTERING.format(name='One'))
    write(project, 'else where/my_neighbour.py', '')
    assert added(['else where/my_file.py']) == ({'One'}, [])


def test_the_working_directory_comes_before_what_is_installed(project):
    write(project, 'my_module.py', REGISTERING.format(name='Here'))
    write(project, 'other/my_module.py', REGISTERING.format(name='There'))
    sys.path.insert(0, str(project / 'other'))
    assert added(['my_module'])[0] == {'Here'}


def test_one_that_registers_nothing_is_told(project):
    write(project, 'my_empty/__init__.py', '')
    registered, said = added(['my_empty'])
    assert registered == set()
    assert said[0].startswith('--import my_empty: it registers nothing')


def code_of(project, texts, files):
    """The hash in a process that has imported nothing yet."""
    for name in [name for name in sys.modules if name.startswith('my_')]:
        del sys.modules[name]
    ARCH_REGISTRY._obj_map.pop('One', None)
    importlib.invalidate_caches()
    for file, content in files.items():
        write(project, file, content)
    import_user_modules(texts, [].append)
    return code_of_user_modules(texts)


def test_the_hash_of_their_code_follows_what_lies_beside_them_and_is_imported(project, monkeypatch):
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    assert code_of_user_modules([]) == ''
    files = {'my_net/__init__.py': '', 'my_net/one.py': 'import my_helper\n' + REGISTERING.format(name='One')}
    files |= {'my_helper.py': 'a = 1', 'my_other.py': ''}
    texts = ['my_net.one']
    code = code_of(project, texts, files)
    assert code_of(project, texts, {'my_other.py': 'b = 1'}) == code
    assert code_of(project, texts, {'my_helper.py': 'a = 2'}) != code
    assert code_of(project, texts, {'my_helper.py': 'a = 1'}) == code
    (project / 'site-packages').mkdir()
    for name in ('my_net', 'my_helper.py'):
        (project / name).rename(project / 'site-packages' / name)
    sys.path.insert(0, str(project / 'site-packages'))
    installed = code_of(project, texts, {})
    assert installed not in ('', code)
    assert code_of(project, texts, {'site-packages/my_helper.py': 'a = 2'}) == installed
    assert code_of(project, texts, {'site-packages/my_net/__init__.py': 'c = 1'}) != installed
    assert code_of(project, ['my_file.py'], {'my_file.py': REGISTERING.format(name='One')}) not in ('', code)


WRONG = {
    'missing': ('my_absent', {}, r'there is no module my_absent in .*; name a package'),
    'missing inside': ('my_net.absent', {'my_net/__init__.py': ''}, r'there is no module my_net\.absent in'),
    'a missing file': ('my_absent.py', {}, 'there is no such file; correct the path'),
    'only pictures': ('my_data', {'my_data/a.png': ''}, r'my_data has no Python files; name another module'),
    'a missing dependency': (
        'my_net',
        {'my_net.py': '\nimport package_that_nobody_has'},
        r"my_net\.py, line 2: No module named 'package_that_nobody_has'\.",
    ),
    'a missing name': (
        'my_net',
        {'my_net.py': 'from math import tau, nothing'},
        r'my_net\.py, line 1: cannot import name',
    ),
    'no Python': ('my_net', {'my_net.py': 'x = 1\nclass :'}, r'my_net\.py, line 2: invalid syntax'),
    'a name that is taken': (
        'my_net',
        {'my_net.py': REGISTERING.format(name='EDVR')},
        r"my_net\.py, line 4: An object named 'EDVR' was already registered.*; give yours another name\.",
    ),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_is_wrong_is_one_sentence(project, case):
    text, files, sentence = WRONG[case]
    for file, content in files.items():
        write(project, file, content)
    with pytest.raises(UserError, match=sentence) as error:
        import_user_modules([text])
    assert str(error.value).startswith(f'--import {text}: ')
    assert '\n' not in str(error.value)


def test_a_fault_of_the_module_itself_keeps_its_traceback(project):
    write(project, 'my_net.py', '1 / 0')
    with pytest.raises(ZeroDivisionError):
        import_user_modules(['my_net'])
