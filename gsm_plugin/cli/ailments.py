"""What can be wrong with an installation, each with its cure."""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder

from gsm_plugin.training.machine_faults import why_not_loaded

_NEEDED = (
    *('torch', 'torchvision', 'numpy', 'cv2', 'einops', 'lmdb', 'yaml', 'PIL', 'av', 'scenedetect', 'psutil'),
    *('safetensors', 'msgspec', 'requests', 'tqdm', 'jinja2', 'matplotlib'),
)
_HOST_VERSION = '1.4.2'
# Of Debian and Ubuntu: libraries that bare containers lack, and what has them.
_SYSTEM_PACKAGES = {
    'libGL.so': 'libgl1',
    'libgthread': 'libglib2.0-0',
    'libglib': 'libglib2.0-0',
    'libSM.so': 'libsm6',
    'libICE.so': 'libice6',
    'libXext.so': 'libxext6',
    'libXrender.so': 'libxrender1',
    'libX11.so': 'libx11-6',
    'libxcb.so': 'libxcb1',
    'libgomp.so': 'libgomp1',
}
_HEADLESS = (
    'run pip uninstall -y opencv-python opencv-contrib-python, then pip install --force-reinstall '
    'opencv-python-headless, which needs no screen'
)


def find_all() -> Iterator[str]:
    """One sentence for everything that is wrong."""
    broken = list(why_broken())
    yield from broken
    if not broken:
        yield from _host_ailments()
        yield from _device_ailments()


def basicsr_copies() -> list[str]:
    """The files of all `basicsr` packages that Python can find, the one that wins first."""
    places = [PathFinder.find_spec('basicsr', [entry or os.getcwd()]) for entry in sys.path]
    files = [os.path.realpath(_place_of(spec)) for spec in places if spec]
    return list(dict.fromkeys(files))


def _place_of(spec: ModuleSpec) -> str:
    """The file of a package, or its folder where it has no `__init__.py`."""
    return spec.origin or next(iter(spec.submodule_search_locations or []))


def unused_copy_here() -> str | None:
    """The file of a `basicsr` in the working directory that this process does not look at."""
    place = os.path.realpath(os.path.join('basicsr', '__init__.py'))
    return place if os.path.isfile(place) and place not in basicsr_copies() else None


def why_broken() -> Iterator[str]:
    """One sentence for every needed package that cannot be imported."""
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except Exception as error:
            lacks_memory = isinstance(error, MemoryError) or why_not_loaded(error) is not None
            cure = 'allow more memory (ulimit -v), or free some' if lacks_memory else _cure(name, str(error))
            yield f'{name} cannot be imported ({type(error).__name__}: {error}); {cure}.'


def _cure(name: str, text: str) -> str:
    for library, package in _SYSTEM_PACKAGES.items():
        if library in text:
            system = f'run apt-get install {package}'
            return f'{system}, or {_HEADLESS}' if name == 'cv2' else system
    if name == 'cv2' and 'cannot open shared object file' in text:
        return _HEADLESS
    if 'cannot open shared object file' in text:
        return 'install the library of the system that it names, or install gsm_plugin again with pip'
    if name == 'cv2' and re.search('numpy|_ARRAY_API', text):
        return 'run pip install --upgrade --force-reinstall opencv-python-headless numpy'
    return 'install gsm_plugin again with pip'


def _host_ailments() -> Iterator[str]:
    copies = basicsr_copies()
    if not copies:
        yield f'basicsr is not installed; run pip install basicsr=={_HOST_VERSION}.'
        return
    if len(copies) > 1:
        yield f'{copies[0]} hides {copies[1]}; rename the first folder, or start elsewhere, to use the installed one.'
    elif os.path.dirname(os.path.dirname(copies[0])) == os.path.realpath(os.getcwd()):
        yield f'basicsr is the folder {os.path.dirname(copies[0])} in the working directory; start somewhere else.'
    try:
        version = metadata.version('basicsr')
    except metadata.PackageNotFoundError:
        version = None
    if version is not None and version != _HOST_VERSION:
        yield f'basicsr is {version}, but patches are for {_HOST_VERSION}; run pip install basicsr=={_HOST_VERSION}.'
    try:
        importlib.import_module('basicsr')
        importlib.import_module('gsm_plugin.registration').register_all()
    except Exception as error:
        yield f'basicsr cannot be imported with gsm_plugin ({type(error).__name__}: {error}); see above.'


def _device_ailments() -> Iterator[str]:
    import torch

    for number in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(number)
        built = torch.cuda.get_arch_list()
        if not _runs_on(major, minor, built):
            yield (
                f'cuda:{number} is sm_{major}{minor}, but this PyTorch has code for {", ".join(built)} only; '
                f'install a PyTorch that has it, or set num_gpu: 0.'
            )
    if not torch.cuda.is_available() and os.path.exists('/dev/nvidia0'):
        why = 'is built without CUDA' if torch.version.cuda is None else f'needs a driver for CUDA {torch.version.cuda}'
        yield f'There is an NVIDIA GPU that PyTorch cannot use: it {why}; install a PyTorch that fits the driver.'


def _runs_on(major: int, minor: int, built: list[str]) -> bool:
    for name in built:
        kind, _, number = name.partition('_')
        digits = number.rstrip('af')
        code = int(digits[:-1]), int(digits[-1])
        # Code for a device runs on later ones of its generation; a PTX ('compute_') is translated for any later one.
        if (kind == 'sm' and code[0] == major and code[1] <= minor) or (kind == 'compute' and code <= (major, minor)):
            return True
    return False
