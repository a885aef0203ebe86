"""Databases that were cut off or damaged end in a sentence that names them; a process that maps them is not killed."""

import random
import shutil

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.utils import FileClient
from basicsr.utils.lmdb_util import LmdbMaker

from gsm_plugin.data import frame_sources
from gsm_plugin.data.frame_sources import LmdbSource

FRAMES = 12


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp('lmdb') / 'LQ.lmdb'
    maker = LmdbMaker(str(root), map_size=2**24)
    noise = np.random.default_rng(0)
    for frame in range(FRAMES):
        image = noise.integers(0, 256, (32, 32, 3), np.uint8)
        maker.put(cv2.imencode('.png', image)[1].tobytes(), f'a/{frame:08d}', (32, 32, 3))
    maker.close()
    return root


@pytest.fixture
def damage(whole, tmp_path):
    """Makes a copy with other bytes, of which nothing is open yet."""

    def make(change):
        root = tmp_path / f'{len(list(tmp_path.iterdir()))}.lmdb'
        shutil.copytree(whole, root)
        (root / 'data.mdb').write_bytes(change((whole / 'data.mdb').read_bytes()))
        return root

    yield make
    for root in tmp_path.iterdir():
        _, environment = frame_sources._ENVIRONMENTS.pop(str(root.resolve()), (0, None))
        if environment is not None:
            environment.close()


def read_all(root):
    source = LmdbSource(root)
    for frame in range(FRAMES):
        source.read('a', frame)


@pytest.mark.parametrize('kept', [0, 100, 4096, 8192, 12288, 20000, -4096, -1])
def test_a_database_that_is_cut_off_is_refused(damage, kept):
    root = damage(lambda content: content[:kept])
    with pytest.raises(ValueError, match=r'is cut off: it has \d+ of \d+ bytes; copy|is no whole LMDB \(') as error:
        read_all(root)
    assert str(root) in str(error.value)


def test_basicsrs_reader_refuses_it_too(damage, whole):
    root = damage(lambda content: content[:-4096])
    with pytest.raises(ValueError, match='is cut off'):
        FileClient('lmdb', db_paths=[str(root)], client_keys=['lq'])
    client = FileClient('lmdb', db_paths=[str(whole)], client_keys=['lq'])
    assert client.get('a/00000000', 'lq')


def test_bits_that_flip_in_images_are_noticed_and_the_key_named(damage):
    chance = random.Random(0)
    said = []
    for _ in range(30):
        place, bit = chance.randrange(3 * 4096, 40_000), 1 << chance.randrange(8)
        root = damage(lambda content: content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])  # noqa: B023
        try:
            read_all(root)
        except (ValueError, LookupError) as error:
            said.append((str(root), str(error)))
    # Some bits belong to nothing.
    assert len(said) > 15
    assert all(root in sentence for root, sentence in said)


def test_a_page_of_the_wrong_kind_is_one_sentence(damage, monkeypatch):
    class Broken:
        def begin(self):
            raise lmdb.CorruptedError('mdb_get: MDB_CORRUPTED')

    monkeypatch.setattr(frame_sources, '_environment', lambda root: Broken())
    with pytest.raises(ValueError, match=r'key a/00000000 of .* cannot be read \(mdb_get: MDB_CORRUPTED\)'):
        read_all(damage(lambda content: content))
