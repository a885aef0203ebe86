import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.data.frame_sources import LmdbSource

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'make_lmdb.py'


@pytest.fixture
def run(monkeypatch):
    spec = importlib.util.spec_from_file_location('make_lmdb', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*words):
        monkeypatch.setattr(sys, 'argv', ['make_lmdb.py', *map(str, words)])
        return module.main()

    return call


def write_clips(root):
    images = {}
    for clip in ('000', '001'):
        for i in range(2):
            image = np.random.default_rng(len(images)).integers(0, 256, (6, 8, 3), np.uint8)
            path = root / clip / f'{i:08d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
            images[clip, i] = image
    return images


def test_frames_come_back_from_the_lmdb(run, tmp_path):
    images = write_clips(tmp_path / 'clips')
    assert run(tmp_path / 'clips', tmp_path / 'out.lmdb') == 0
    source = LmdbSource(tmp_path / 'out.lmdb')
    assert source.frames == {'000': ['00000000', '00000001'], '001': ['00000000', '00000001']}
    for (clip, i), image in images.items():
        assert np.array_equal((source.read(clip, i) * 255).round(), image)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clips', 'out.lmdb']


@pytest.mark.parametrize(
    'folder, out, message',
    [
        ('nowhere', 'out.lmdb', 'nowhere does not exist'),
        ('clips', 'out', 'does not end in .lmdb'),
        ('clips', 'there.lmdb', 'exists; remove it'),
    ],
)
def test_mistakes_are_named_and_leave_nothing(run, tmp_path, capsys, folder, out, message):
    write_clips(tmp_path / 'clips')
    (tmp_path / 'there.lmdb').mkdir()
    assert run(tmp_path / folder, tmp_path / out) == 1
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clips', 'there.lmdb']
