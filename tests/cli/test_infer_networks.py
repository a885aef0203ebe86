"""`basicsr infer` with real networks, whose weights are random and lie in files."""

import shutil

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.archs.building import build
from gsm_plugin.cli.main import main
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video.treatment import resized
from tests.inference.test_restorer import NETWORKS, SCALES
from tests.inference.video.films import make_film, scene

BICUBIC = ['--network', 'type=Bicubic', 'upscale=2']


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A file of random weights of each network, by name."""
    folder = tmp_path_factory.mktemp('weights')
    for name, options in NETWORKS.items():
        torch.manual_seed(0)
        torch.save({'params': build(options).state_dict()}, folder / f'{name}.pth')
    return folder


@pytest.fixture
def frames(tmp_path):
    """A folder of three images, and the clip that they are."""
    codes = scene(3, 10, 14)
    write_images(tmp_path / 'frames', codes.astype(np.uint8))
    return tmp_path / 'frames', torch.from_numpy(codes).float() / 255


def write_images(folder, codes, ending='png'):
    folder.mkdir()
    for number, image in enumerate(codes):
        assert cv2.imwrite(str(folder / f'{number:02d}.{ending}'), image.transpose(1, 2, 0)[..., ::-1])
    return folder


def read_images(folder):
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1] for path in sorted(folder.iterdir())]
    return np.stack(images).transpose(0, 3, 1, 2)


def run(*words):
    with pytest.raises(SystemExit) as ended:
        main(['infer', *map(str, words)])
    return ended.value.code


def codes_of(output):
    return (output.clamp(0, 1) * 255).round().numpy()


@pytest.mark.parametrize('name', NETWORKS)
def test_every_network_of_the_registry_enlarges_as_it_does_from_python(weights, frames, tmp_path, name):
    folder, clip = frames
    assert run('-i', folder, '-o', tmp_path / 'out', '-w', weights / f'{name}.pth') == 0
    output = read_images(tmp_path / 'out')
    scale = SCALES.get(name, 4)
    assert output.shape == (3, 3, 10 * scale, 14 * scale)
    expected = codes_of(Restorer.load(weights / f'{name}.pth', device='cpu')(clip))
    assert np.abs(output - expected).max() <= 1
    assert expected.std() > 1


def test_self_ensemble_is_that_of_the_restorer(weights, frames, tmp_path):
    folder, clip = frames
    path = weights / 'edvr.pth'
    assert run('-i', folder, '-o', tmp_path / 'out', '-w', path, '--self-ensemble') == 0
    output = read_images(tmp_path / 'out')
    assert np.abs(output - codes_of(Restorer.load(path, device='cpu', self_ensemble=True)(clip))).max() <= 1
    assert np.abs(output - codes_of(Restorer.load(path, device='cpu')(clip))).max() > 0


@pytest.mark.parametrize('outscale, size', [(1.5, (15, 21)), (3, (30, 42))])
def test_another_scale_is_resampled_from_what_the_network_gives(weights, frames, tmp_path, outscale, size):
    folder, clip = frames
    assert run('-i', folder, '-o', tmp_path / 'out', '-w', weights / 'edvr.pth', '-s', outscale) == 0
    output = read_images(tmp_path / 'out')
    assert output.shape[2:] == size
    expected = resized(Restorer.load(weights / 'edvr.pth', device='cpu')(clip), *size)
    assert np.abs(output - codes_of(expected)).max() <= 1


@pytest.mark.parametrize('ending', ['mkv', 'mp4'])
def test_two_devices_give_the_film_of_one_bit_for_bit(weights, tmp_path, monkeypatch, ending):
    source = make_film(tmp_path / 'in.mkv', scene(12, 18, 22), codec='ffv1')
    (tmp_path / 'cuts.txt').write_text('3\n6\n9\n')
    words = ['-i', source, '-w', weights / 'edvr.pth', '--cuts', tmp_path / 'cuts.txt', '--preset', 'ultrafast']
    assert run(*words, '-o', tmp_path / f'one.{ending}') == 0
    at_work, restore = set(), Restorer.restore

    def noted(self, *args):
        at_work.add(id(self))
        return restore(self, *args)

    monkeypatch.setattr(Restorer, 'restore', noted)
    assert run(*words, '-o', tmp_path / f'two.{ending}', '--devices', 'cpu,cpu') == 0
    assert len(at_work) == 2
    assert (tmp_path / f'two.{ending}').read_bytes() == (tmp_path / f'one.{ending}').read_bytes()


@pytest.mark.parametrize(
    'ending, depth, most',
    [('png', 8, 1), ('png', 16, 1), ('jpg', 8, 12), ('webp', 8, 1), ('tif', 16, 1), ('bmp', 8, 1)],
)
def test_folders_of_images_keep_their_names_kind_and_depth(tmp_path, ending, depth, most):
    codes = scene(3, 18, 22, depth=depth).astype(np.uint8 if depth == 8 else np.uint16)
    folder = write_images(tmp_path / 'frames', codes, ending)
    assert run('-i', folder, '-o', tmp_path / 'out', *BICUBIC) == 0
    assert [path.name for path in sorted((tmp_path / 'out').iterdir())] == [f'{i:02d}.{ending}' for i in range(3)]
    output = read_images(tmp_path / 'out')
    assert output.dtype == codes.dtype
    clip = torch.from_numpy(read_images(folder).astype(np.float32)) / (2**depth - 1)
    expected = build({'type': 'Bicubic', 'upscale': 2})(clip[None])[0].clamp(0, 1) * (2**depth - 1)
    assert np.abs(output - expected.numpy()).max() <= most


def test_a_network_that_needs_weights_says_so(frames, tmp_path, capsys):
    assert run('-i', frames[0], '-o', tmp_path / 'out', '--network', 'type=GSMamba') == 2
    assert 'GSMamba needs weights; give the file' in capsys.readouterr().err


def test_of_several_inputs_a_broken_one_stops_no_other(tmp_path, capsys):
    write_images(tmp_path / 'good', scene(2, 18, 22).astype(np.uint8))
    shutil.copytree(tmp_path / 'good', tmp_path / 'bad')
    (tmp_path / 'bad' / '01.png').write_bytes(b'no image')
    make_film(tmp_path / 'film.mkv', scene(2, 18, 22), codec='ffv1')
    (tmp_path / 'text.mkv').write_text('no film')
    words = [tmp_path / 'bad', tmp_path / '*.mkv', tmp_path / 'good']
    assert run('-i', *words, '-o', tmp_path / 'out', *BICUBIC) == 1
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['film_x2.mkv', 'good']
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert [row.split()[1] for row in rows] == ['failed', 'done', 'failed', 'done']
