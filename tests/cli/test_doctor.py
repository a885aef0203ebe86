import os
import re
import sys

import pytest
import torch

from gsm_plugin.cli import ailments, doctor


@pytest.fixture
def report(monkeypatch):
    lines = []
    monkeypatch.setattr(ailments, 'find_all', lambda: iter(()))

    def examine(*found):
        monkeypatch.setattr(ailments, 'find_all', lambda: iter(found))
        lines.clear()
        return doctor.examine(lines.append), lines

    return examine


def test_a_sound_installation_ends_with_0(report):
    status, lines = report()
    assert status == 0
    assert lines[-1] == 'Nothing is wrong.'


def test_an_ailment_ends_with_1_and_its_cure(report):
    status, lines = report('basicsr is not installed; run pip install basicsr.')
    assert status == 1
    assert lines[-2:] == ['Wrong', '  basicsr is not installed; run pip install basicsr.']


@pytest.mark.parametrize(
    'package',
    [
        'python',
        'gsm_plugin',
        'basicsr',
        'torch',
        'torchvision',
        'numpy',
        'opencv-python',
        'mamba_ssm',
        'causal_conv1d',
        'av',
        'scenedetect',
        'psutil',
        'safetensors',
    ],
)
def test_versions_are_listed(report, package):
    assert any(line.startswith(f'  {package} ') for line in report()[1])


def test_the_codecs_of_ffmpeg_have_their_version(report):
    assert any(re.fullmatch(r'  av \S+ \(FFmpeg, libavcodec [\d.]+\)', line) for line in report()[1])


def test_the_backend_of_every_op_is_listed_with_its_reason(report):
    from gsm_plugin.ops import describe_backends

    lines = report()[1]
    for op, backend, reason in describe_backends('cpu'):
        assert f'  {op} on cpu: {backend} ({reason})' in lines


def test_scripts_are_told_what_comes_first(report):
    assert any(line.startswith('  in a script of your own, import gsm_plugin stands above') for line in report()[1])


def test_the_imported_basicsr_and_a_hidden_one_are_listed(report, tmp_path, monkeypatch):
    import basicsr

    (tmp_path / 'basicsr').mkdir()
    (tmp_path / 'basicsr' / '__init__.py').write_text('')
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path)])
    lines = report()[1]
    assert f'  imported from {os.path.realpath(basicsr.__file__)}' in lines
    assert f'  hidden by it: {tmp_path}/basicsr/__init__.py' in lines
    assert any('rename the first folder' in sentence for sentence in ailments._host_ailments())


def test_a_basicsr_in_the_working_directory_is_named(report, tmp_path, monkeypatch):
    (tmp_path / 'basicsr').mkdir()
    (tmp_path / 'basicsr' / '__init__.py').write_text('')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [entry for entry in sys.path if entry])
    assert f'  not used by this command, but by a script in this folder: {tmp_path}/basicsr/__init__.py' in report()[1]
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    assert any(f'{tmp_path}/basicsr/__init__.py hides' in sentence for sentence in ailments._host_ailments())


def test_a_package_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'einops', None)
    assert [sentence for sentence in ailments.find_all() if sentence.startswith('einops cannot be imported')]


@pytest.mark.parametrize(
    'package, error, cure',
    [
        (
            'cv2',
            'libGL.so.1: cannot open shared object file',
            'run apt-get install libgl1, or run pip uninstall -y',
        ),
        (
            'cv2',
            'libgthread-2.0.so.0: cannot open shared object file',
            'run apt-get install libglib2.0-0, or run',
        ),
        (
            'cv2',
            'libfoo.so: cannot open shared object file',
            'run pip uninstall -y opencv-python',
        ),
        (
            'cv2',
            'numpy.core.multiarray failed to import',
            'run pip install --upgrade --force-reinstall open',
        ),
        ('torch', 'libgomp.so.1: cannot open shared object file', 'run apt-get install libgomp1.'),
        (
            'torch',
            'libcudart.so: cannot open shared object file',
            'install the library of the system that',
        ),
        ('lmdb', 'No module named lmdb', 'install gsm_plugin again with pip.'),
        (
            'torch',
            'libtorch_cpu.so: failed to map segment from shared object',
            'allow more memory (ulimit -v), or free some.',
        ),
    ],
)
def test_the_cure_is_one_that_helps_in_this_case(monkeypatch, package, error, cure):
    def import_module(name):
        if name == package:
            raise ImportError(error)

    monkeypatch.setattr(ailments.importlib, 'import_module', import_module)
    (sentence,) = ailments.why_broken()
    assert f'(ImportError: {error}); {cure}' in sentence


def test_another_version_of_basicsr_is_named(monkeypatch):
    monkeypatch.setattr(ailments.metadata, 'version', lambda name: '1.3.5')
    assert any('basicsr is 1.3.5, but patches are for 1.4.2' in sentence for sentence in ailments._host_ailments())


@pytest.mark.parametrize(
    'capability, built, expected',
    [
        ((9, 0), ['sm_80', 'sm_90'], True),
        ((8, 9), ['sm_80', 'sm_90'], True),
        ((12, 0), ['sm_80', 'sm_90'], False),
        ((12, 0), ['sm_90', 'compute_90'], True),
        ((12, 0), ['sm_120'], True),
        ((6, 1), ['sm_75', 'sm_80'], False),
        ((9, 0), ['sm_90a'], True),
    ],
)
def test_it_is_known_which_gpus_a_build_of_pytorch_runs_on(capability, built, expected):
    assert ailments._runs_on(*capability, built) is expected


def test_a_gpu_without_code_for_it_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda number: (12, 0))
    monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_80', 'sm_90'])
    actual = next(ailments._device_ailments())
    assert actual.startswith('cuda:0 is sm_120, but this PyTorch has code for sm_80, sm_90 only')
