"""What an installation brings, and what the build says where it cannot work."""

import importlib.util
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import gsm_plugin

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='module')
def packaging():
    spec = importlib.util.spec_from_file_location('packaging_of_gsm_plugin', ROOT / 'setup.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def metadata(tmp_path_factory):
    folder = tmp_path_factory.mktemp('metadata')
    done = subprocess.run(
        [sys.executable, 'setup.py', '--quiet', 'egg_info', '--egg-base', str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob('*.egg-info'))


def test_the_command_is_installed(metadata):
    assert 'basicsr = gsm_plugin.__main__:run' in (metadata / 'entry_points.txt').read_text()


def test_the_version_is_that_of_the_package(metadata):
    assert f'\nVersion: {gsm_plugin.__version__}\n' in (metadata / 'PKG-INFO').read_text()


def test_nothing_that_needs_a_compiler_is_required(metadata):
    always, _, extras = (metadata / 'requires.txt').read_text().partition('\n[')
    assert 'mamba' not in always
    assert 'causal' not in always
    assert 'mamba-ssm' in extras
    assert 'lpips' not in always
    assert re.search(r'^\[perceptual\]\nlpips\nDISTS-pytorch$', extras, re.MULTILINE)
    assert 'pytest' in extras


def test_the_doctor_looks_at_all_that_is_required(metadata):
    from gsm_plugin.cli.ailments import _NEEDED
    from gsm_plugin.cli.doctor import _PACKAGES

    always = (metadata / 'requires.txt').read_text().partition('\n[')[0]
    required = {re.match(r'[\w-]+', line)[0] for line in always.splitlines() if line}
    assert 'av' in required
    assert required <= set(_PACKAGES)
    modules = {'basicsr': None, 'opencv-python': 'cv2', 'pyyaml': 'yaml', 'pillow': 'PIL'}
    # BasicSR is looked at with its patches
    assert {modules.get(name, name) for name in required} - {None} <= {*_NEEDED, 'numba'}


def test_only_basicsr_is_pinned(metadata):
    assert re.findall(r'^(\S+)==', (metadata / 'requires.txt').read_text(), re.MULTILINE) == ['basicsr']


def test_every_folder_of_modules_is_a_package_and_shipped(metadata):
    shipped = (metadata / 'SOURCES.txt').read_text().splitlines()
    for path in (ROOT / 'gsm_plugin').rglob('*.py'):
        assert str(path.relative_to(ROOT)) in shipped


def test_checkers_of_types_are_told_that_the_package_has_annotations(metadata):
    assert 'gsm_plugin/py.typed' in (metadata / 'SOURCES.txt').read_text().splitlines()


class Python313(tuple):
    """What `sys.version_info` is on Python 3.13, as far as setup.py looks at it."""

    minor = 13


@pytest.fixture
def on_python_313(packaging, monkeypatch):
    monkeypatch.setattr(packaging.sys, 'version_info', Python313((3, 13, 0)))
    return packaging


def test_a_python_that_cannot_build_basicsr_is_refused_with_the_cure(on_python_313, monkeypatch):
    monkeypatch.setattr(on_python_313, 'host_is_installed', lambda: False)
    with pytest.raises(SystemExit) as ended:
        on_python_313.refuse_python_without_host()
    sentence = str(ended.value.code)
    assert 'python3.12 -m pip wheel --no-deps basicsr==1.4.2' in sentence
    assert '\n' not in sentence


def test_a_python_that_has_basicsr_already_is_not_refused(on_python_313, monkeypatch):
    monkeypatch.setattr(on_python_313, 'host_is_installed', lambda: True)
    on_python_313.refuse_python_without_host()


def test_basicsr_is_looked_for_in_the_environment_and_not_on_the_paths_of_the_build(packaging, monkeypatch, tmp_path):
    assert packaging.host_is_installed()
    venv.create(tmp_path, symlinks=True)
    monkeypatch.setattr(packaging.sys, 'executable', str(tmp_path / 'bin' / 'python'))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(sys.path))
    assert not packaging.host_is_installed()
