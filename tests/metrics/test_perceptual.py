"""LPIPS and DISTS are their papers' formulas on the backbones that are there; tOF and tLP are right in closed cases."""

import sys
import urllib.request
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.metrics.perceptual import Perceptual
from tests import backbones

CPU = torch.device('cpu')


def texture(height=96, width=128):
    coarse = np.random.default_rng(0).uniform(0, 255, (height // 4, width // 4, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def moving(count, dx, dy=0):
    """(h, w, 3), uint8, BGR: the same texture, further right and down by so many pixels in each frame."""
    return [np.roll(texture(), (dy * i, dx * i), (0, 1)) for i in range(count)]


def noisy(frames, seed=1):
    noise = np.random.default_rng(seed)
    return [(frame + noise.normal(0, 12, frame.shape)).clip(0, 255).astype(np.uint8) for frame in frames]


def score(name, outputs, gts, crop_border=0):
    return Perceptual([name]).score(outputs, gts, crop_border, CPU)[name]


@pytest.fixture
def random_backbones(monkeypatch):
    backbones.put_in_place(monkeypatch)


@pytest.mark.usefixtures('random_backbones')
@pytest.mark.parametrize('name', ['lpips', 'dists', 'tof', 'tlp'])
def test_a_clip_is_at_no_distance_from_itself(name):
    gts = moving(3, dx=1)
    assert score(name, gts, gts) == pytest.approx([0] * (2 if name in ('tof', 'tlp') else 3), abs=1e-6)
    assert min(score(name, noisy(gts), gts)) > 1e-3


@pytest.mark.parametrize('dx, dy', [(1, 0), (0, 1), (3, 4)])
def test_tof_of_a_still_output_is_the_motion_of_the_ground_truth(dx, dy):
    gts = moving(3, dx, dy)
    assert score('tof', [gts[0]] * 3, gts, crop_border=16) == pytest.approx([np.hypot(dx, dy)] * 2, rel=0.05)


def test_tof_of_an_output_that_moves_backwards_is_twice_the_motion():
    gts = moving(3, dx=1)
    assert score('tof', gts[::-1], gts, crop_border=16) == pytest.approx([2, 2], rel=0.05)


@pytest.mark.usefixtures('random_backbones')
@pytest.mark.parametrize('name', ['lpips', 'dists', 'tof', 'tlp'])
def test_what_is_beyond_the_border_does_not_count(name):
    gts = moving(3, dx=1)
    outputs = noisy(gts)
    for output, gt in zip(outputs, gts, strict=True):
        output[8:-8, 8:-8] = gt[8:-8, 8:-8]
    assert max(score(name, outputs, gts, crop_border=8)) == pytest.approx(0, abs=1e-6)
    assert min(score(name, outputs, gts, crop_border=7)) > 1e-6


def rgb(image):
    return torch.from_numpy(image[..., ::-1] / 255).permute(2, 0, 1)[None].float()


def features(backbone, image, ends):
    found = []
    for number, layer in enumerate(backbones.random_backbone(backbone).features):
        image = layer(image)
        if number in ends:
            found.append(image)
    return found


@pytest.mark.usefixtures('random_backbones')
@torch.no_grad()
def test_lpips_is_the_formula_of_its_paper():
    import lpips

    gt = texture()
    (output,) = noisy([gt])
    weights = torch.load(Path(lpips.__file__).parent / 'weights' / 'v0.1' / 'alex.pth', map_location='cpu')
    mean, deviation = (torch.tensor(row).view(1, 3, 1, 1) for row in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    # The package rounds these constants of ImageNet to three digits, for images in [-1, 1].
    parts = [features('alexnet', (rgb(image) - mean) / deviation, (1, 4, 7, 9, 11)) for image in (output, gt)]
    expected = 0
    for weight, *pair in zip(weights.values(), *parts, strict=True):
        first, second = (feature / feature.norm(dim=1, keepdim=True) for feature in pair)
        expected += ((first - second) ** 2 * weight.view(1, -1, 1, 1)).sum(1).mean()
    assert score('lpips', [output], [gt])[0] == pytest.approx(expected.item(), rel=1e-2)


@pytest.mark.usefixtures('random_backbones')
def test_dists_is_that_of_its_package_with_its_own_weights():
    import DISTS_pytorch

    gt = texture()
    (output,) = noisy([gt])
    network = DISTS_pytorch.DISTS(load_weights=False)
    weights = torch.load(Path(DISTS_pytorch.__file__).with_name('weights.pt'))
    network.load_state_dict(weights, strict=False)
    assert score('dists', [output], [gt])[0] == pytest.approx(network(rgb(output), rgb(gt)).item(), rel=1e-5)
    assert score('dists', [output], [gt])[0] != pytest.approx(
        network(rgb(output[..., ::-1]), rgb(gt[..., ::-1])).item()
    )


@pytest.mark.usefixtures('random_backbones')
def test_tlp_of_a_still_output_is_100_times_lpips_of_the_ground_truth_in_time():
    gts = moving(3, dx=3)
    expected = [100 * value for value in score('lpips', gts[1:], gts[:-1])]
    assert score('tlp', [gts[0]] * 3, gts) == pytest.approx(expected, rel=1e-4)


def test_nothing_is_read_where_nothing_is_asked_for():
    assert Perceptual([]).score(iter('no frames'), iter('at all'), 0, CPU) == {}


@pytest.mark.parametrize('name, package', [('lpips', 'lpips'), ('tlp', 'lpips'), ('dists', 'DISTS-pytorch')])
def test_a_missing_package_is_one_sentence_with_the_cure(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package.replace('-', '_'), None)
    with pytest.raises(UserError, match=f'--metrics {name} needs the package {package}, .*run pip install {package}, '):
        Perceptual([name])


@pytest.mark.parametrize('failure', ['no network', 'damaged'])
@pytest.mark.parametrize('name, file', [('lpips', 'alexnet-owt-7be5be79.pth'), ('dists', 'vgg16-397923af.pth')])
def test_weights_that_cannot_be_had_are_one_sentence_with_the_cure(monkeypatch, tmp_path, name, file, failure):
    pytest.importorskip({'lpips': 'lpips', 'dists': 'DISTS_pytorch'}[name])
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    place = tmp_path / 'hub' / 'checkpoints' / file
    if failure == 'damaged':
        place.parent.mkdir(parents=True)
        place.write_bytes(b'damaged')

    def refuse(*_, **__):
        raise URLError('no network')

    monkeypatch.setattr(torch.hub, 'urlopen', refuse)
    monkeypatch.setattr(urllib.request, 'urlopen', refuse)
    with pytest.raises(UserError) as raised:
        Perceptual([name])
    assert f'needs https://download.pytorch.org/models/{file}, which could not be had (' in str(raised.value)
    assert f'put the file at {place} yourself' in str(raised.value)
