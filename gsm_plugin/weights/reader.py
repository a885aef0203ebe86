"""Reads a file of weights in whichever of the usual layouts it is, without running anything that is in it."""

import json
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from gsm_plugin.errors import UserError
from gsm_plugin.weights import settings_buffer
from gsm_plugin.weights.content_hash import check_hash
from gsm_plugin.weights.file_kinds import damaged_part, describe_file, is_safetensors, is_torchscript

KNOWN_KEYS = ('params', 'params_ema', 'state_dict', 'model_state_dict', 'model', 'net_g', 'net', 'network', 'generator')
"""Where files keep weights: BasicSR's two, that of Lightning and mmagic, and what people call it in own scripts."""
TOP_LEVEL = 'top level'
# Beside these, a file may say something about itself.
_BASICSRS_KEYS = KNOWN_KEYS[:2]
_DEPTH = 3


@dataclass(frozen=True)
class Weights:
    """The weights in a file.

    Attributes:
        tensors: By name, as in the file.
        taken: Where they were: a key of the file, or `TOP_LEVEL`.
        metadata: What a file says about itself, as safetensors files do, and .pth files of trainings and of `basicsr
            weights convert`; and under `network_g` what a settings buffer says.
        notes: Sentences on what was taken in the place of what was asked for, and on what was left out.
    """

    tensors: dict[str, Tensor]
    taken: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def read_weights(path: str | Path, key: str | None = 'params') -> Weights:
    """Reads a file of weights.

    It may be a safetensors file, or one that `torch.save` wrote: a dictionary of tensors, or one that has such
    dictionaries under keys. Python objects beside the tensors, such as the settings in a checkpoint of Lightning, are
    left out unread.

    Args:
        path: The file.
        key: Which dictionary to take; `a:b` is b inside a, None the file itself. One of `KNOWN_KEYS` that the file
            does not have is replaced by another place that has weights, with a note.

    Returns:
        The weights, on the CPU, of the types that they have in the file.

    Raises:
        UserError: There is no such file, it has no weights, several places have some, or it cannot be read safely. The
            sentence says what the file is instead.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f'The file of weights {path} does not exist; correct the path.')
    if not (path.is_file() or path.is_dir()):
        raise UserError(f'{path} is a device or a pipe, and no file of weights; correct the path.')
    try:
        if path.is_file() and is_safetensors(path):
            return _checked(_read_safetensors(path), path)
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error.strerror}); correct its permissions or its disk.') from error
    return _checked(_read_pickled(path, key), path)


def _read_pickled(path: Path, key: str | None) -> Weights:
    content, objects = _load(path)
    weights = _choose(content, path, key, objects)
    if isinstance(content, Mapping) and weights.taken in _BASICSRS_KEYS:
        said = content.get('metadata', {})
        is_text = isinstance(said, Mapping) and all(isinstance(value, str) for value in said.values())
        weights = replace(weights, metadata=dict(said) if is_text else {})
    if objects:
        note = f'{path} holds Python objects beside its tensors ({first(objects)}); they are left out unread.'
        return replace(weights, notes=(*weights.notes, note))
    return weights


def _checked(weights: Weights, path: Path) -> Weights:
    """Takes a settings buffer out of the weights, since networks have none, and what it says into the metadata."""
    tensors = dict(weights.tensors)
    buffer = tensors.pop(settings_buffer.NAME, None)
    check_hash(tensors, weights.metadata, path)
    if buffer is None:
        return weights
    said = json.dumps(settings_buffer.read_settings(buffer))
    return replace(weights, tensors=tensors, metadata={'network_g': said, **weights.metadata})


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework='pt', device='cpu') as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path} is a safetensors file that is cut off or damaged ({_short(error)}); get it again, whole.'
        ) from error
    if not tensors:
        raise UserError(f'{path} is a safetensors file without any weights; give another file.')
    return Weights(tensors, TOP_LEVEL, metadata)


def _load(path: Path) -> tuple[object, list[str]]:
    """The content of a file that torch.save wrote, and names of the Python objects whose places are taken by blanks."""
    if path.is_dir() or is_torchscript(path):
        raise UserError(f'{path} is {describe_file(path)}.')
    if damage := damaged_part(path):
        raise UserError(f'{path} is damaged ({damage}); get it again, whole.')
    objects = _python_objects(path)
    try:
        try:
            return _load_with(path, objects, _blank), objects
        except pickle.UnpicklingError as error:
            if 'SETITEM' not in str(error):
                raise
            # Some of the objects are filled as dictionaries are.
            return _load_with(path, objects, _blank_dictionary), objects
    except Exception as error:
        if isinstance(error, pickle.UnpicklingError) and (objects or 'GLOBAL' in str(error)):
            found = f' ({first(objects)})' if objects else ''
            raise UserError(
                f'{path} holds Python objects{found}, which are not loaded, since that may run programs; where you '
                f'trust it, take its tensors out: torch.save(torch.load(FILE, weights_only=False)["state_dict"], '
                f'NEW_FILE), with the key under which they are.'
            ) from error
        raise UserError(f'{path} is {describe_file(path)}.') from error


def _python_objects(path: Path) -> list[str]:
    """Names of what a file wants to import beyond what tensors need; none for files as they were before PyTorch 1.6."""
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except Exception:
        # Whatever is wrong with the file, torch.load fails next and says so.
        return []


def _load_with(path: Path, objects: Sequence[str], blank: Callable[[str], type]) -> object:
    with safe_globals([(blank(name), name) for name in objects]):
        return torch.load(path, map_location='cpu', weights_only=True)


def _blank(name: str) -> type:
    """A class that stands for another one and does nothing: what the file says about its objects is thrown away."""

    def make(cls: type, *_: object, **__: object) -> object:
        return object.__new__(cls)

    nothing = {method: lambda *_, **__: None for method in ('__init__', '__setstate__')}
    return type(name.rpartition('.')[2], (), {'__new__': make, '__slots__': (), **nothing})


def _blank_dictionary(name: str) -> type:
    """A class likewise, whose objects are plain dictionaries, which PyTorch lets a file fill."""
    return type(name.rpartition('.')[2], (), {'__new__': lambda cls, *_, **__: OrderedDict()})


def _choose(content: object, path: Path, key: str | None, objects: Sequence[str]) -> Weights:
    places = dict(_places(content)) if isinstance(content, Mapping) else {}
    wanted = TOP_LEVEL if key is None else key
    if not isinstance(content, Mapping) or not places or _is_state(content):
        raise UserError(f'{path} {_what_it_has(content, key, objects)}.')
    if wanted in places:
        return _weights(path, places, wanted)
    if key is not None and key not in KNOWN_KEYS:
        raise UserError(
            f'{path} has no weights under {key!r}, but {first(list(places))}; set path: param_key_g to one that it has.'
        )
    known = [place for place in (*KNOWN_KEYS, TOP_LEVEL) if place in places]
    if not known and len(places) > 1:
        raise UserError(f'{path} has weights under {", ".join(places)}; set path: param_key_g to one of them.')
    taken = known[0] if known else next(iter(places))
    asked = 'its top level' if key is None else key
    note = f'{path} has no weights under {asked}, so those of {taken} are taken.'
    return _weights(path, places, taken, note)


def _weights(path: Path, places: Mapping[str, Mapping], taken: str, *notes: str) -> Weights:
    tensors = {name: value for name, value in places[taken].items() if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if value.is_meta:
            raise UserError(
                f'{path} holds sizes of weights without values ({name} is on the device meta); take another.'
            )
        if value.is_quantized:
            raise UserError(f'{path} holds quantised weights ({name}); give those that they were made from.')
        if value.layout is not torch.strided:
            tensors[name] = value.to_dense()
    others = [str(name) for name in places[taken] if name not in tensors]
    if others:
        notes = (*notes, f'Of {taken}, {len(others)} that are no tensors are left: {first(others)}.')
    return Weights(tensors, taken, notes=notes)


def _places(content: Mapping) -> Iterator[tuple[str, Mapping]]:
    """Dictionaries that have tensors, by where they are; the file itself where none is inside it."""
    inside = list(_inside(content, (), _DEPTH))
    if inside:
        yield from inside
    elif _has_tensors(content):
        yield TOP_LEVEL, content


def _inside(content: Mapping, above: tuple[str, ...], depth: int) -> Iterator[tuple[str, Mapping]]:
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, Mapping):
            here = (*above, name)
            if _has_tensors(value):
                yield ':'.join(here), value
            elif depth > 1:
                yield from _inside(value, here, depth - 1)


def _has_tensors(value: Mapping) -> bool:
    return all(isinstance(name, str) for name in value) and any(isinstance(one, Tensor) for one in value.values())


def _what_it_has(content: object, key: str | None, objects: Sequence[str]) -> str:
    give = 'give a file of weights such as net_g_*.pth'
    if isinstance(content, Tensor):
        return f'is a single tensor without a name; {give}'
    if not isinstance(content, Mapping):
        if objects:
            return (
                f'is a Python object ({first(objects)}), such as a whole network, not its weights; where you trust '
                f'it, load it with its program and save its state_dict() by torch.save'
            )
        return f'has no weights under {key!r}, but no names at all; {give}'
    if _is_state(content):
        kind = 'the state of an optimiser' if 'state' in content else 'a training state, which path: resume_state takes'
        return f'is {kind}, not weights; {give}'
    names = [str(name) for name in content]
    held = f' and Python objects: {first(objects)}' if objects else ''
    return (
        f'has no weights, neither at its top level nor under {", ".join(KNOWN_KEYS[:3])} or another key '
        f'(it has {first(names) or "nothing"}{held}); {give}'
    )


def _is_state(content: Mapping) -> bool:
    return {'state', 'param_groups'} <= content.keys() or {'optimizers', 'schedulers', 'iter'} <= content.keys()


def first(names: Iterable[str], count: int = 3) -> str:
    """The first few of a list of names, and how many more there are."""
    names = list(names)
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip('.')[:120] or type(error).__name__
