"""`basicsr infer` with real networks, whose weights are random and lie in files."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gsm_plugin.archs.building import build
from gsm_plugin.cli.main import main
from gsm_plugin.inference import loading
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video.precision_cost import cost_sentence
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


def test_films_are_not_captured_whose_memory_is_planned(monkeypatch, weights, frames, tmp_path):
    captured = []
    monkeypatch.setattr(loading, '_with_graphs', lambda options, device: captured.append(device) or options)
    assert run('-i', frames[0], '-o', tmp_path / 'out', '-w', weights / 'gsm.pth') == 0
    assert not captured
    Restorer.load(weights / 'gsm.pth', device='cpu')
    assert captured


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


def test_a_precision_says_what_it_costs_by_a_measurement_and_fp32_needs_none(weights, frames, tmp_path, capsys):
    folder, clip = frames
    words = ['-i', folder, '-w', weights / 'basicvsr.pth']
    assert run(*words, '-o', tmp_path / 'auto') == 0
    said = capsys.readouterr().out
    assert 'x4, fp32, on cpu' in said
    assert 'precision:' not in said
    assert run(*words, '-o', tmp_path / 'half', '--precision', 'bf16') == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith('precision:'))
    own, exact = (Restorer.load(weights / 'basicvsr.pth', device='cpu', precision=p)(clip) for p in ('bf16', 'fp32'))
    distance = -10 * (own - exact).square().mean().log10().item()
    told = float(line.split(' dB from fp32')[0].rpartition(' ')[2])
    assert told == pytest.approx(distance, abs=0.5)
    assert run('-i', folder, '-w', weights / 'edvr.pth', '-o', tmp_path / 'no', '--precision', 'bf16') == 2
    assert 'edvr has a part that cpu does not compute in bf16' in capsys.readouterr().err
    assert not (tmp_path / 'no').exists()
    assert run(*words, '-o', tmp_path / 'fp16', '--precision', 'fp16') == 2
    assert 'a CPU does not compute in fp16; take fp32 or auto' in capsys.readouterr().err


def test_a_precision_is_measured_beside_no_other_device(monkeypatch, weights, tmp_path, capsys):
    source = make_film(tmp_path / 'in.mkv', scene(8, 18, 22), codec='ffv1')
    (tmp_path / 'cuts.txt').write_text('2\n4\n6\n')
    precisions, restore = [], Restorer.restore

    def noted(self, *args):
        precisions.append(self.precision)
        return restore(self, *args)

    monkeypatch.setattr(Restorer, 'restore', noted)
    words = ['-i', source, '-w', weights / 'basicvsr.pth', '--cuts', tmp_path / 'cuts.txt', '--precision', 'bf16']
    for name, devices, at in (('one', 'cpu', 2), ('two', 'cpu,cpu', 5)):
        precisions.clear()
        assert run(*words, '-o', tmp_path / f'{name}.mkv', '--devices', devices) == 0
        # four scenes, and before fp32 the same frames once more
        assert [place for place, precision in enumerate(precisions) if precision == 'fp32'] == [at]
        assert capsys.readouterr().out.count('precision: bf16 is') == 1


def test_the_loss_is_that_of_an_error_that_has_nothing_to_do_with_the_networks_own():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(10**6, generator=generator)
    exact = truth + torch.randn(10**6, generator=generator) * 10 ** (-35 / 20)
    own = exact + torch.randn(10**6, generator=generator) * 10 ** (-45 / 20)
    db = [-10 * (output - truth).square().mean().log10().item() for output in (own, exact)]
    sentence = cost_sentence('bf16', own, exact)
    assert 'bf16 is 45.0 dB from fp32' in sentence
    told = float(sentence.split('takes ')[1].split(' dB')[0])
    assert told == pytest.approx(db[1] - db[0], abs=0.01)


def write_odd(path, kind):
    """An input that a tool for films meets."""
    if kind == 'folder called .mp4':
        path.mkdir()
    elif kind == 'film of 2x2':
        make_film(path, scene(4, 2, 2), codec='ffv1')
    elif kind == 'film with another ending':
        make_film(path.with_suffix('.mkv'), scene(2), codec='ffv1').rename(path)
    elif kind == '4:1:1':
        make_film(path, scene(3), 'yuv411p', codec='ffv1')
    elif kind == 'pause of minutes':
        make_film(path, scene(3), stamps=[0, 512, 512 * 5000], codec='libx264')
    elif kind == 'link to itself':
        path.symlink_to(path.name)
    else:
        path.mkdir()
        image = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)
        if kind == 'floats':
            cv2.imwrite(str(path / '0.tif'), np.stack([image / np.float32(255)] * 3, -1))
            return
        image = Image.fromarray(image[:1, :1] if kind == 'one pixel' else image)
        name = '0.jpg' if kind == 'CMYK' else '0.png'
        image.convert({'palette': 'P', 'CMYK': 'CMYK'}.get(kind, 'RGB')).save(path / name)


@pytest.mark.parametrize(
    'name, kind, sentence',
    [
        ('in.mp4', 'folder called .mp4', 'has neither images nor films'),
        ('in.mkv', 'film of 2x2', None),
        ('in.txt', 'film with another ending', None),
        ('in [1] %d ü.mkv', '4:1:1', None),
        ('in.mp4', 'pause of minutes', None),
        ('in.mp4', 'link to itself', 'is missing'),
        ('in', 'one pixel', None),
        ('in', 'palette', None),
        ('in', 'CMYK', None),
        ('in', 'floats', 'has float32 pixels'),
    ],
)
def test_odd_inputs_are_enlarged_or_refused_in_one_sentence(tmp_path, capsys, name, kind, sentence):
    write_odd(tmp_path / name, kind)
    out = tmp_path / ('out.mkv' if '.' in name else 'out')
    status = run('-i', tmp_path / name, '-o', out, *BICUBIC)
    said = capsys.readouterr().err.strip().splitlines()[-1:]
    assert (status, out.exists()) == ((0, True) if sentence is None else (2, False)), said
    assert sentence is None or sentence in said[0]


def test_a_network_that_needs_weights_says_so(frames, tmp_path, capsys):
    assert run('-i', frames[0], '-o', tmp_path / 'out', '--network', 'type=GSMamba') == 2
    assert 'GSMamba needs weights; give the file' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('name', 'words', 'sentence'),
    [
        ('gsm', ['upscale=4'], 'of another size ('),
        ('gsm', ['type=BasicVSR'], 'they are those of GSMamba; give weights of BasicVSR (in basicsr weights list: '),
        ('other', [], 'any other one is named by --network, with its type.'),
        (
            'said',
            [],
            "'Mine', which nothing has registered; import the module that does, or name another type by --net",
        ),
    ],
)
def test_weights_that_do_not_fit_are_told_in_words_of_this_command(
    weights, frames, tmp_path, capsys, name, words, sentence
):
    torch.save({'params': {'body.weight': torch.zeros(2)}}, weights / 'other.pth')
    said = {'params': {'body.weight': torch.zeros(2)}, 'metadata': {'network_g': '{"type": "Mine"}'}}
    torch.save(said, weights / 'said.pth')
    network = ['--network', *words] if words else []
    assert run('-i', frames[0], '-o', tmp_path / 'out', '-w', weights / f'{name}.pth', *network) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert not [word for word in ('network_g', 'strict_load_g', 'network={') if word in said], said
    assert '--network' in said.rpartition('; ')[2]


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
