"""The harness gives the measured figures of the official BasicVSR weights on a real clip, where both are here.

`basicsr weights get basicvsr-reds basicvsr-vimeo90k-bi basicvsr-vimeo90k-bd` and `python scripts/prepare_clips.py`
bring them; without them these tests are passed over.
"""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.cli import main as command
from gsm_plugin.data.protocols import PROTOCOLS
from gsm_plugin.demo.miniature import REAL_CLIPS, read_real_clips, write_clips, write_miniature
from gsm_plugin.scoring.choices import WEIGHTS_FOLDER
from tests.scoring.tiny_vsr import read_rgb, scores

ROOT = Path(__file__).parents[3]
CACHE = ROOT / 'datasets' / '.cache'
WEIGHTS = {
    'REDS': 'BasicVSR_REDS4-543c8261.pth',
    'bi': 'BasicVSR_Vimeo90K_BIx4-2a29695a.pth',
    'bd': 'BasicVSR_Vimeo90K_BDx4-e9bf46eb.pth',
}
VIDEOS = [CACHE / f'{clip.name}.mp4' for clip in REAL_CLIPS]
NEEDED = [*(ROOT / WEIGHTS_FOLDER / file for file in WEIGHTS.values()), *VIDEOS]
BOARDS = [(name, kind) for name, protocol in PROTOCOLS.items() for kind, _ in protocol.lq]

pytestmark = pytest.mark.skipif(not all(map(Path.is_file, NEEDED)), reason='the weights or videos are not here')


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    # Default weights are looked for below the working directory.
    monkeypatch.chdir(ROOT)


def test_the_carphone_gives_the_measured_figures(tmp_path):
    video = str(CACHE / 'carphone_pristine.mp4')
    command.main(['compare', video, '--frames', '15', '--networks', 'bicubic,basicvsr', '--out', str(tmp_path)])
    for label, expected in (('bicubic', 24.12), ('basicvsr', 29.27)):
        values = json.loads((tmp_path / f'{label}.json').read_text())['clips']['carphone_pristine']['values']
        assert np.mean(values['psnr']) == pytest.approx(expected, abs=0.02)


def test_the_option_file_gives_the_measured_figures_too(tmp_path, monkeypatch, fresh_logger):
    clip = 'carphone_pristine'
    write_clips({clip: read_real_clips(CACHE, 15)[clip]}, tmp_path / 'datasets' / 'clips')
    (tmp_path / 'experiments').symlink_to(ROOT / 'experiments')
    monkeypatch.chdir(tmp_path)
    command.main(['test', '-opt', str(ROOT / 'options' / 'test_basicvsr_clips.yml')])
    log = next((tmp_path / 'results' / 'test_basicvsr_clips').glob('*.log')).read_text()
    assert float(re.search(r'# psnr: (\d+\.\d+)', log)[1]) == pytest.approx(29.27, abs=0.02)


@pytest.mark.parametrize('name, kind', BOARDS)
def test_official_weights_on_every_layout_give_a_straightforward_computation(tmp_path, name, kind):
    from basicsr.archs.basicvsr_arch import BasicVSR

    protocol = PROTOCOLS[name]
    frames = read_real_clips(CACHE, 7)['carphone_pristine']
    write_miniature(protocol, frames, 2, 1, tmp_path / 'data')
    folders = ['--datasets', str(tmp_path / 'data'), '--out', str(tmp_path / 'out')]
    command.main(['leaderboard', name, '--degradation', kind, '--partial', *folders, '--networks', 'bicubic,basicvsr'])
    network = BasicVSR(64, 30).eval()
    weights = WEIGHTS['REDS' if name == 'reds4' else kind]
    network.load_state_dict(torch.load(ROOT / WEIGHTS_FOLDER / weights, weights_only=True)['params'])
    (clip,) = {path.parent for path in (tmp_path / 'data' / dict(protocol.lq)[kind]).rglob('*.png')}
    lq = sorted(clip.iterdir())
    output = restore(network, lq, flip=name == 'vimeo90k-t')
    (result,) = json.loads((tmp_path / 'out' / 'basicvsr.json').read_text())['clips'].values()
    centre = [3] if name == 'vimeo90k-t' else range(len(lq))
    gt = tmp_path / 'data' / protocol.gt / clip.relative_to(tmp_path / 'data' / dict(protocol.lq)[kind])
    for number, frame in enumerate(centre):
        channel = 'rgb' if name == 'reds4' else 'y'
        psnr, ssim = scores(output[frame], read_rgb(gt / lq[frame].name), channel)
        assert result['values']['psnr'][number] == pytest.approx(psnr, abs=1e-4)
        assert result['values']['ssim'][number] == pytest.approx(ssim, abs=1e-4)


def restore(network, paths, flip):
    """All frames at once, reflected to 64x64 by OpenCV and cut back."""
    frames = [read_rgb(path) for path in paths]
    height, width = frames[0].shape[:2]
    padded = [cv2.copyMakeBorder(frame, 0, 64 - height, 0, 64 - width, cv2.BORDER_REFLECT_101) for frame in frames]
    clip = torch.from_numpy(np.stack(padded)).permute(0, 3, 1, 2)[None].float() / 255
    with torch.no_grad():
        output = network(torch.cat((clip, clip.flip(1)), 1) if flip else clip)
    if flip:
        output = (output[:, : len(frames)] + output[:, len(frames) :].flip(1)) / 2
    cut = output[0, ..., : height * 4, : width * 4]
    return (cut.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
