import sys
from importlib import import_module
from types import ModuleType

import pytest

from gsm_plugin import compat
from gsm_plugin.compat.import_hook import PatchingFinder

GONE, PRESENT = 'gone_package', 'present_module'


@pytest.fixture
def finder(tmp_path, monkeypatch):
    (tmp_path / f'{PRESENT}.py').write_text('value = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    stand_ins = {GONE: lambda module: None, f'{GONE}.inner': lambda module: setattr(module, 'value', 2)}
    stand_ins[PRESENT] = lambda module: setattr(module, 'value', 'hidden')
    patches = {PRESENT: [lambda module: setattr(module, 'value', module.value + 10)]}
    made = PatchingFinder(stand_ins, patches)
    yield made
    sys.meta_path[:] = [other for other in sys.meta_path if other is not made]
    for name in (GONE, f'{GONE}.inner', PRESENT):
        sys.modules.pop(name, None)


def test_a_module_that_is_gone_is_stood_in_for(finder):
    finder.install()
    import gone_package.inner

    assert gone_package.inner.value == 2


def test_without_the_hook_it_stays_gone(finder):
    with pytest.raises(ModuleNotFoundError):
        import gone_package  # noqa: F401


def test_a_module_that_exists_is_not_hidden_but_patched_when_it_is_imported(finder):
    finder.install()
    import present_module

    assert present_module.value == 11
    assert present_module.__loader__.get_source(PRESENT) == 'value = 1\n'


def test_a_module_that_was_imported_before_is_patched(finder):
    import present_module

    finder.install()
    assert present_module.value == 11


def test_installing_twice_patches_once(finder, monkeypatch):
    module = ModuleType(PRESENT)
    module.value = 1
    monkeypatch.setitem(sys.modules, PRESENT, module)
    finder.install()
    finder.install()
    assert module.value == 11
    assert sys.meta_path.count(finder) == 1


def test_every_patch_that_is_named_is_there():
    for name in (*compat._STAND_INS.values(), *(name for names in compat._PATCHES.values() for name in names)):
        file, _, function = name.partition('.')
        assert callable(getattr(import_module(f'gsm_plugin.compat.{file}'), function))
