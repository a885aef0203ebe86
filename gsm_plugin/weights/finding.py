"""From a name or a path to a file of weights that is there, whose weights are not read."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from gsm_plugin.errors import UserError
from gsm_plugin.weights.file_kinds import describe_file, is_safetensors, is_saved_by_torch
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS, find_weights

FOLDER = Path('experiments', 'pretrained_models')
"""Where the files of names lie."""

# What torch.save writes: a ZIP file since 1.6, a pickle or a tar archive before.
_ZIP, _PICKLE = b'PK\x03\x04', b'\x80'
_TAR, _TAR_PLACE = b'ustar', 257


def path_of(name_or_path: str | Path, folder: Path = FOLDER) -> Path:
    """The path that is meant, whether the file is there or not: a path that exists goes before a name."""
    path = Path(name_or_path).expanduser()
    if str(name_or_path) in KNOWN_WEIGHTS and not path.is_file():
        return KNOWN_WEIGHTS[str(name_or_path)].place(folder)
    return path


def find_file(name_or_path: str | Path, folder: Path) -> tuple[str, Path]:
    """The name and the file that are meant.

    Raises:
        UserError: There is no such file, and no public file has the name, or it is not here.
    """
    given, path = Path(name_or_path).expanduser(), path_of(name_or_path, folder)
    if path != given:
        if not path.is_file():
            raise UserError(f'{path} is not there; run basicsr weights get {name_or_path}.')
        return str(name_or_path), path
    if not path.exists():
        if isinstance(name_or_path, str) and not path.suffix and len(path.parts) == 1:
            # a name, of which there is none
            find_weights(name_or_path)
        raise UserError(
            f'The file of weights {path} does not exist; correct the path, or give a name of basicsr weights list.'
        )
    return path.stem, path


def check_kind(path: Path) -> None:
    """Refuses a file that is none of weights by its beginning and its list of members, before PyTorch is there.

    Raises:
        UserError: It is another kind of file, or a folder.
    """
    if not (path.is_file() and _is_of_weights(path)):
        raise UserError(f'{path} is {describe_file(path)}.')


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself, read without its weights; empty for other files, and damaged ones."""
    try:
        if is_safetensors(path):
            with safe_open(path, framework='np') as file:
                return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        # whoever reads the weights says it
        pass
    return {}


def _is_of_weights(path: Path) -> bool:
    with path.open('rb') as file:
        head = file.read(_TAR_PLACE + len(_TAR))
    if head.startswith(_ZIP):
        return is_saved_by_torch(path)
    return head.startswith(_PICKLE) or head[_TAR_PLACE:] == _TAR or is_safetensors(path)
