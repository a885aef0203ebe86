"""`basicsr doctor`: what is installed, what will be used, and what is wrong with its cure."""

import importlib
import platform
from collections.abc import Callable, Iterator
from importlib import metadata

import gsm_plugin
from gsm_plugin.cli import ailments
from gsm_plugin.processors import choose_threads
from gsm_plugin.training.machine_faults import describe_shared_memory

_PACKAGES = (
    *('basicsr', 'torch', 'torchvision', 'numpy', 'opencv-python', 'triton', 'mamba_ssm', 'causal_conv1d'),
    *('numba', 'einops', 'lmdb', 'pyyaml', 'pillow', 'av', 'scenedetect', 'psutil', 'safetensors', 'msgspec'),
    *('requests', 'tqdm', 'jinja2', 'matplotlib'),
)
_OPTIONAL = ('triton', 'mamba_ssm', 'causal_conv1d', 'numba')


def examine(say: Callable[[str], None] = print) -> int:
    """Prints the report.

    Args:
        say: Where the lines go.

    Returns:
        1 where something is wrong, otherwise 0: the exit status.
    """
    for title, lines in (
        ('Versions', _versions),
        ('BasicSR', _basicsr),
        ('Devices', _devices),
        ('Backends', _backends),
    ):
        say(title)
        for line in lines():
            say(f'  {line}')
    found = list(ailments.find_all())
    say('Wrong' if found else 'Nothing is wrong.')
    for ailment in found:
        say(f'  {ailment}')
    return 1 if found else 0


def _versions() -> Iterator[str]:
    yield f'python {platform.python_version()}'
    yield f'gsm_plugin {gsm_plugin.__version__}'
    for package in _PACKAGES:
        try:
            yield f'{package} {metadata.version(package)}{_inside(package)}'
        except metadata.PackageNotFoundError:
            # OpenCV has four packages for one module.
            yield f'{package} {_module_version("cv2") if package == "opencv-python" else _missing(package)}'


def _inside(package: str) -> str:
    """What a package brings along that matters by itself: FFmpeg, by the version of its codecs."""
    if package != 'av':
        return ''
    try:
        import av
    except ImportError:
        return ''
    return f' (FFmpeg, libavcodec {".".join(map(str, av.library_versions["libavcodec"]))})'


def _module_version(name: str) -> str:
    try:
        return importlib.import_module(name).__version__
    except ImportError:
        return 'missing'


def _missing(package: str) -> str:
    return 'not installed (optional)' if package in _OPTIONAL else 'missing'


def _basicsr() -> Iterator[str]:
    for number, place in enumerate(ailments.basicsr_copies()):
        yield f'imported from {place}' if number == 0 else f'hidden by it: {place}'
    if (unused := ailments.unused_copy_here()) is not None:
        yield f'not used by this command, but by a script in this folder: {unused}'
    yield 'in a script of your own, import gsm_plugin stands above all that imports basicsr, which fails without it'


def _devices() -> Iterator[str]:
    try:
        import torch
    except ImportError:
        yield 'unknown: torch cannot be imported'
        return
    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory / 2**30
        major, minor = torch.cuda.get_device_capability(number)
        yield f'cuda:{number} {torch.cuda.get_device_name(number)}, sm_{major}{minor}, {memory:.1f} GiB'
    yield f'shared memory: {describe_shared_memory()}'
    threads, reason = choose_threads(torch.get_num_threads())
    yield f'cpu with {threads} thread(s), {reason}' + ('' if torch.cuda.is_available() else '; no GPU is usable')


def _backends() -> Iterator[str]:
    try:
        import torch

        from gsm_plugin.ops import describe_backends
    except ImportError as error:
        yield f'unknown: {error}'
        return
    for device in ('cuda', 'cpu') if torch.cuda.is_available() else ('cpu',):
        for op, backend, reason in describe_backends(device):
            yield f'{op} on {device}: {backend} ({reason})'
