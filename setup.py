"""Packaging of gsm_plugin; the one place of its metadata."""

import os
import re
import subprocess
import sys
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
HOST = 'basicsr==1.4.2'
# What converts a program of torch.export, and what runs the result; older ones were not tried.
EXPORT = ['onnx>=1.23', 'onnxscript>=0.7', 'onnxruntime>=1.32']
SPANDREL = ['spandrel>=0.4']
# Of the authors of LPIPS and DISTS; pure Python.
PERCEPTUAL = ['lpips', 'DISTS-pytorch']
TESTS = ['pytest', 'pytest-xdist', 'hypothesis', 'jsonschema', 'ruff', 'scikit-image']
# The checker, and annotations of packages that have none themselves.
TYPES = ['mypy>=2.4', 'types-PyYAML', 'types-psutil', 'types-requests', 'types-tqdm']


def read_version() -> str:
    """The version in gsm_plugin/version.py, read as text."""
    return re.search(r"__version__ = '([^']+)'", (HERE / 'gsm_plugin' / 'version.py').read_text(encoding='utf-8'))[1]


def refuse_python_without_host() -> None:
    """Ends the build in one sentence where BasicSR is missing and its source package cannot be built.

    BasicSR is published as source only, and its setup.py reads `locals()` after `exec`, which Python 3.13 no longer
    fills: a KeyError deep inside pip.
    """
    if sys.version_info < (3, 13) or host_is_installed():
        return
    python = f'python3.{sys.version_info.minor}'
    sys.exit(
        f'BasicSR cannot be built on Python 3.{sys.version_info.minor}; make its wheel with an older one and install '
        f'that first: python3.12 -m pip wheel --no-deps {HOST} && {python} -m pip install basicsr-1.4.2-*.whl'
    )


def host_is_installed() -> bool:
    """Whether the environment that pip installs into has BasicSR; pip builds in one of its own, on other paths."""
    script = "import importlib.metadata as m; print(any(d.metadata['Name'] == 'basicsr' for d in m.distributions()))"
    variables = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    answer = subprocess.run(
        [sys.executable, '-c', script], env=variables, capture_output=True, encoding='utf-8', errors='replace', cwd='/'
    )
    return answer.stdout.strip() == 'True'


if __name__ == '__main__':
    refuse_python_without_host()
    setup(
        name='gsm_plugin',
        version=read_version(),
        description='Gather-Scatter Mamba video super-resolution for BasicSR',
        long_description=(HERE / 'README.md').read_text(encoding='utf-8') if (HERE / 'README.md').exists() else '',
        long_description_content_type='text/markdown',
        license='MIT',
        license_files=['LICENSE'],
        python_requires='>=3.10',
        packages=find_packages(include=['gsm_plugin', 'gsm_plugin.*']),
        # older setuptools leave py.typed out
        package_data={'gsm_plugin': ['py.typed', '**/*.md', '**/*.j2', '**/*.json', '**/*.safetensors']},
        install_requires=[
            HOST,
            # The first whose torch.load refuses code in checkpoints by default; BasicSR leaves it at the default.
            'torch>=2.6',
            'torchvision>=0.21',
            'numpy',
            # Compiles the scan for a CPU; it lags behind new Pythons, on which PyTorch's operators do that.
            'numba>=0.60; python_version < "3.16"',
            'opencv-python',
            # Brings FFmpeg along; 17.1 is the last for Python 3.10, and the first whose frames and streams tell all.
            'av>=17.1',
            'einops',
            'lmdb',
            'jinja2',
            'matplotlib',
            'psutil>=5.9',
            # Declares the keys of option files; the first with wheels for Python 3.13.
            'msgspec>=0.19',
            'pyyaml',
            'requests',
            'safetensors',
            'tqdm',
            'pillow>=10.1',
            # Its detectors, which data from-video calls, announce changes for version 1.
            'scenedetect>=0.7,<1',
        ],
        extras_require={
            'cuda': ['mamba-ssm', 'causal-conv1d'],
            'perceptual': PERCEPTUAL,
            'export': EXPORT,
            'spandrel': SPANDREL,
            'vapoursynth': ['VapourSynth>=74; python_version >= "3.12"'],
            'dev': [*TESTS, *TYPES, *PERCEPTUAL, *EXPORT, *SPANDREL],
            'wandb': ['wandb'],
        },
        entry_points={'console_scripts': ['basicsr = gsm_plugin.__main__:run']},
    )
