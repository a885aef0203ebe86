"""Imports a user's own networks, data sets, losses, metrics and models, which register themselves as in BasicSR."""

import hashlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY

from gsm_plugin.errors import UserError

# Of the process itself, wherever it was started, and what comes with Python.
_OF_PYTHON = {'__main__', *sys.stdlib_module_names}
_REGISTRIES = (ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY)


def import_user_modules(texts: Sequence[str], say: Callable[[str], None] = print) -> None:
    """Imports what stands behind `--import`, from the working directory or from what is installed.

    Processes that read data find the modules too, since they take the search path over.

    Args:
        texts: Names of modules or packages, or Python files; several may be joined by commas. A folder without
            `__init__.py` stands for all Python files in it.
        say: Takes a sentence for each one that registers nothing.

    Raises:
        UserError: There is no such module, or it cannot be imported, or it registers a name that is taken.
    """
    _search_first(Path.cwd())
    for text in _split(texts):
        before = _registered()
        _import(text)
        if _registered() == before:
            say(f'--import {text}: it registers nothing; decorate classes by @ARCH_REGISTRY.register() and the like.')


def code_of_user_modules(texts: Sequence[str]) -> str:
    """A hash of the files of imported modules, and of those beside them that they imported in turn until now.

    Names of modules count, and not where their files lie. What is imported later, and what else is installed, is not
    seen.

    Args:
        texts: As in `import_user_modules`, which has been called.

    Returns:
        Hexadecimal digits; empty where nothing was imported.
    """
    packages = {_name_of(text).partition('.')[0] for text in _split(texts)}
    beside = {place.parent for package in packages for place in _places_of(package)}
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(sys.modules):
        file = Path(getattr(sys.modules[name], '__file__', None) or '')
        package = name.partition('.')[0]
        is_neighbour = not beside.isdisjoint(file.parents) and _is_of_the_user(str(file)) and package not in _OF_PYTHON
        if (package in packages or is_neighbour) and file.is_file():
            content = file.read_bytes()
            digest.update(f'{name} {len(content)}\n'.encode() + content)
    return digest.hexdigest() if packages else ''


def _places_of(package: str) -> Iterator[Path]:
    """The folders of a package, or the file of a module."""
    module = sys.modules[package]
    yield from map(Path, getattr(module, '__path__', None) or [module.__file__ or ''])


def _split(texts: Sequence[str]) -> list[str]:
    return [word.strip() for joined in texts for word in joined.split(',') if word.strip()]


def _name_of(text: str) -> str:
    """The name by which a module is imported."""
    return Path(text).stem if text.endswith('.py') else text


def _import(text: str) -> None:
    name = _name_of(text)
    if text.endswith('.py'):
        file = Path(text).expanduser().resolve()
        if not file.is_file():
            raise UserError(f'--import {text}: there is no such file; correct the path.')
        _search_first(file.parent)
    module = _import_one(name, text)
    if getattr(module, '__file__', None) is None and hasattr(module, '__path__'):
        inside = sorted(_files_in(module))
        if not inside:
            raise UserError(f'--import {text}: {next(iter(module.__path__))} has no Python files; name another module.')
        for inner in inside:
            _import_one(f'{name}.{inner}', text)


def _import_one(name: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f'{error.name}.')):
            raise UserError(
                f'--import {text}: there is no module {error.name} in {os.getcwd()} or among those that are installed; '
                f'name a package, a module or a .py file.'
            ) from error
        raise UserError(f'--import {text}: {_explain(error)}.') from error
    except (ImportError, SyntaxError) as error:
        raise UserError(f'--import {text}: {_explain(error)}.') from error
    except AssertionError as error:
        if 'already registered' not in str(error):
            raise
        raise UserError(f'--import {text}: {_explain(error)}; give yours another name.') from error


def _explain(error: Exception) -> str:
    """The error and the line of the user's that it comes from."""
    if isinstance(error, SyntaxError):
        return f'{error.filename}, line {error.lineno}: {error.msg}'
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_user(frame.filename)]
    where = f'{own[-1].filename}, line {own[-1].lineno}: ' if own else ''
    return where + str(error).strip().rstrip('.!')


def _is_of_the_user(file: str) -> bool:
    ours = Path(__file__).parents[1]
    return not file.startswith('<') and 'site-packages' not in file and ours not in Path(file).parents


def _files_in(module: ModuleType) -> Iterator[str]:
    for folder in module.__path__:
        yield from (file.stem for file in Path(folder).glob('*.py') if file.stem.isidentifier())


def _search_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _registered() -> list[set[str]]:
    return [set(registry._obj_map) for registry in _REGISTRIES]
