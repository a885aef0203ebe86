"""Packages of PyPI and Debian, fetched by pip and apt-get and opened without being installed."""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsm_plugin.data.small_training.sources import FILM_ARCHIVE, FILM_MEMBER, FILM_PACKAGE
from gsm_plugin.errors import UserError
from gsm_plugin.files import whole_file


def fetch_film(cache: Path) -> Path:
    """Gets the film out of moviepy's source package; one that is in the cache is kept.

    Args:
        cache: Folder for `bbb.mp4`.

    Raises:
        UserError: pip could not download the package.
    """
    cache.mkdir(parents=True, exist_ok=True)
    cache = cache.resolve()
    film = cache / 'bbb.mp4'
    if film.is_file():
        return film
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        options = ['--disable-pip-version-check', '--quiet', '--no-deps', '--no-binary', ':all:', '--dest', folder]
        _call(
            [sys.executable, '-m', 'pip', 'download', *options, FILM_PACKAGE], Path(folder), f'put bbb.mp4 into {cache}'
        )
        with tarfile.open(next(Path(folder).glob('*.tar.gz'))) as package:
            member = package.extractfile(FILM_ARCHIVE)
            # it is a file and no folder in this version of the package
            assert member is not None
            archive = io.BytesIO(member.read())
        with zipfile.ZipFile(archive) as inner, whole_file(film) as part:
            name = next(name for name in inner.namelist() if name.endswith(FILM_MEMBER))
            part.write_bytes(inner.read(name))
    return film


@contextmanager
def debian_package(name: str, cache: Path) -> Iterator[Path]:
    """Unpacks a Debian package for a while; one that is in the cache is not fetched again.

    Args:
        name: Name of the package.
        cache: Folder for the `.deb` file.

    Yields:
        The folder with its files.

    Raises:
        UserError: There is no apt-get or dpkg, or they could not fetch or unpack it.
    """
    cache.mkdir(parents=True, exist_ok=True)
    cache = cache.resolve()
    instead = f'put {name}_*.deb of Debian into {cache}'
    for tool in ('dpkg-deb', *(() if list(cache.glob(f'{name}_*.deb')) else ('apt-get',))):
        if shutil.which(tool) is None:
            raise UserError(
                f'{tool} is missing, which {name} needs; run this on Debian or Ubuntu, and copy the result.'
            )
    if not list(cache.glob(f'{name}_*.deb')):
        _call(['apt-get', '--quiet', 'download', name], cache, f'run apt-get update, or {instead}')
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        package = next(cache.glob(f'{name}_*.deb'))
        _call(['dpkg-deb', '--extract', str(package.resolve()), folder], cache, f'remove {package} and run again')
        yield Path(folder)


def _call(command: list[str], folder: Path, cure: str) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, encoding='utf-8', errors='replace')
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise UserError(f'{" ".join(command)} failed ({reason.removeprefix("ERROR: ")}); {cure}.')
