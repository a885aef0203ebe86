"""Where figures come from: commit, device, versions."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ('torch', 'triton', 'basicsr', 'mamba-ssm', 'numpy', 'opencv-python', 'lpips', 'DISTS-pytorch')


def provenance(root: str | Path) -> dict[str, object]:
    """Tells what a measurement was made with: commit of the checkout at `root`, device, versions.

    Returns:
        A dictionary that can be written as JSON.
    """
    cuda = torch.cuda.is_available()
    return {
        'commit': _commit(Path(root)),
        'device': torch.cuda.get_device_name() if cuda else _processor(),
        'cuda': torch.version.cuda if cuda else None,
        'python': platform.python_version(),
        'packages': {name: _version(name) for name in _PACKAGES},
    }


def _commit(root: Path) -> str:
    result = subprocess.run(
        ['git', '-C', str(root), 'describe', '--always', '--dirty'],
        capture_output=True,
        encoding='utf-8',
        errors='replace',
    )
    return result.stdout.strip() or 'unknown'


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return f'{models[0]}, {len(models)} cores' if models else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
