"""What `basicsr compare` computes, keeps and shows."""

import json
import re

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.data.degradations import degrade
from gsm_plugin.metrics.perceptual import Perceptual
from tests import backbones
from tests.scoring.comparing import refusal, run, write_frames, write_gsm, write_video
from tests.scoring.tiny_vsr import moving_frames, restore, scores, write_network


@pytest.mark.parametrize('kind', ['bi', 'bd', 'bd-duf'])
def test_figures_are_those_of_a_straightforward_computation(tmp_path, capsys, kind):
    network, file = write_network(tmp_path)
    # 50 rows: the two that are too much for the scale are cut away.
    frames = moving_frames(5, height=50)
    place = write_frames(tmp_path / 'clips' / 'moving', frames)
    run(tmp_path / 'clips', tmp_path / 'out', '--networks', f'tiny={file}', '--frames', '4', '--degradation', kind)
    gt = [frame[:48] for frame in frames[:4]]
    lq = write_frames(tmp_path / 'lq', [degrade(frame, kind) for frame in gt])
    output = restore(network, sorted(lq.iterdir()))
    expected = [scores(image, truth[..., ::-1], 'rgb') for image, truth in zip(output, gt, strict=True)]
    record = json.loads((tmp_path / 'out' / 'tiny.json').read_text())
    values = record['clips']['moving']['values']
    np.testing.assert_allclose(values['psnr'], [psnr for psnr, _ in expected], atol=1e-4, rtol=0)
    np.testing.assert_allclose(values['ssim'], [ssim for _, ssim in expected], atol=1e-4, rtol=0)
    assert f'| {np.mean(values["psnr"]):.2f}/{np.mean(values["ssim"]):.4f} [1] |' in capsys.readouterr().out
    assert (tmp_path / 'out' / 'page.html').read_text().startswith('<!DOCTYPE html>')
    assert place.is_dir()


def test_bicubic_is_that_of_matlab(tmp_path):
    gt = moving_frames(2)
    place = write_frames(tmp_path / 'clip', gt)
    run(place, tmp_path / 'out', '--networks', 'bicubic')
    enlarged = [resize_bicubic(degrade(frame, 'bi'), 4) for frame in gt]
    expected = [scores(image, frame, 'rgb')[0] for image, frame in zip(enlarged, gt, strict=True)]
    values = json.loads((tmp_path / 'out' / 'bicubic.json').read_text())['clips']['clip']['values']
    # Ties of the rounding may fall on the other side.
    np.testing.assert_allclose(values['psnr'], expected, atol=1e-3, rtol=0)


ALL_METRICS = ['--metrics', 'lpips,dists', 'tof,tlp']


def clip_of(out):
    return json.loads((out / 'bicubic.json').read_text())['clips']['clip']


def test_metrics_that_are_asked_for_are_in_record_table_and_page(tmp_path, monkeypatch):
    backbones.put_in_place(monkeypatch)
    gt = moving_frames(3)
    place = write_frames(tmp_path / 'clip', gt)
    run(place, tmp_path / 'out', '--networks', 'bicubic', *ALL_METRICS)
    values = clip_of(tmp_path / 'out')['values']
    enlarged = [resize_bicubic(degrade(frame, 'bi'), 4) for frame in gt]
    expected = Perceptual(['lpips', 'dists', 'tof', 'tlp']).score(
        [image.round().clip(0, 255).astype(np.uint8) for image in enlarged], gt, 0, torch.device('cpu')
    )
    assert list(values) == ['psnr', 'ssim', *expected]
    for name, row in expected.items():
        # Ties of the rounding may fall on the other side.
        np.testing.assert_allclose(values[name], row, rtol=1e-2, err_msg=name)
    row = ' '.join(f'{np.mean(values[name]):.{digits}f} [1] |' for name, digits in (('lpips', 4), ('dists', 4)))
    table, page = ((tmp_path / 'out' / name).read_text() for name in ('table.md', 'page.html'))
    assert row in re.sub(' +', ' ', table)
    for title in ('LPIPS ↓', 'DISTS ↓', 'tOF ↓', 'tLP x100 ↓'):
        assert f' {title} |' in table
        assert f'<th>{title}</th>' in page
    assert 'Lower is better: LPIPS on RGB (AlexNet, version 0.1); DISTS' in page


def test_results_that_lack_a_metric_are_run_again_and_lose_none(tmp_path, capsys, monkeypatch):
    backbones.put_in_place(monkeypatch)
    place = write_frames(tmp_path / 'clip', moving_frames(3))
    run(place, tmp_path / 'out', '--networks', 'bicubic')
    before = clip_of(tmp_path / 'out')
    assert list(before['values']) == ['psnr', 'ssim']
    assert '↓' not in (tmp_path / 'out' / 'table.md').read_text()
    capsys.readouterr()
    for metric in ('tof', 'lpips'):
        run(place, tmp_path / 'out', '--networks', 'bicubic', '--metrics', metric)
        assert 'results of' not in capsys.readouterr().out
    after = clip_of(tmp_path / 'out')
    assert set(after['values']) == {'psnr', 'ssim', 'tof', 'lpips'}
    assert after['values']['psnr'] == before['values']['psnr']
    for metrics in ([], ['--metrics', 'tof']):
        run(place, tmp_path / 'out', '--networks', 'bicubic', *metrics)
        assert 'bicubic: results of 1 of 1 clips' in capsys.readouterr().out
        assert clip_of(tmp_path / 'out') == after
    cv2.imwrite(str(place / '1.png'), moving_frames(1, seed=1)[0])
    run(place, tmp_path / 'out', '--networks', 'bicubic')
    assert list(clip_of(tmp_path / 'out')['values']) == ['psnr', 'ssim']


def test_videos_and_smaller_ground_truth(tmp_path, capsys):
    video = write_video(tmp_path / 'film.avi', moving_frames(6, 96, 128))
    run(video, tmp_path / 'out', '--networks', 'bicubic', '--frames', '3', '--shrink', '2', '--channel', 'y')
    record = json.loads((tmp_path / 'out' / 'bicubic.json').read_text())
    assert record['lq_size'] == [12, 16]
    assert len(record['clips']['film']['frames']) == 3
    reduction = {'degradation': 'bi', 'scale': 4, 'frames': 3, 'shrink': 2, 'crf': None}
    assert record['protocol'] == {'place': str(video), **reduction, 'channel': 'y'}


def test_cost_and_provenance_are_in_the_record(tmp_path):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    _, file = write_network(tmp_path)
    run(place, tmp_path / 'out', '--networks', f'tiny={file}')
    record = json.loads((tmp_path / 'out' / 'tiny.json').read_text())
    clip = record['clips']['clip']
    assert clip['shown'] == 2
    assert clip['seconds'] > 0
    assert clip['peak_gib'] is None or clip['peak_gib'] > 0
    assert record['parameters'] == 4 * 6 * 9 + 4 + 48 * 4 * 9 + 48
    assert record['multiply_adds'] == 4 * 6 * 9 + 48 * 4 * 9
    assert record['machines'][0]['packages']['torch']
    assert len(record['settings']['weights']['sha256']) == 64


def test_a_clip_whose_files_have_changed_is_run_again(tmp_path):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    values = []
    for seed in (0, 1):
        cv2.imwrite(str(place / '1.png'), moving_frames(1, seed=seed)[0])
        run(place, tmp_path / 'out', '--networks', 'bicubic')
        values.append(json.loads((tmp_path / 'out' / 'bicubic.json').read_text())['clips']['clip']['values']['psnr'])
    assert values[0][0] == values[1][0]
    assert values[0][1] != values[1][1]


def test_the_table_is_of_the_wanted_clips_alone(tmp_path):
    for name in ('first', 'second'):
        write_frames(tmp_path / 'clips' / name, moving_frames(2))
    for name in ('first', 'second'):
        run(tmp_path / 'clips', tmp_path / 'out', '--networks', 'bicubic', '--clips', name)
    header = (tmp_path / 'out' / 'table.md').read_text().splitlines()[0]
    assert 'second' in header
    assert 'first' not in header
    assert set(json.loads((tmp_path / 'out' / 'bicubic.json').read_text())['clips']) == {'first', 'second'}


def test_results_of_another_comparison_are_never_overwritten(tmp_path, capsys):
    _, file = write_network(tmp_path)
    place, out = write_frames(tmp_path / 'a', moving_frames(2)), tmp_path / 'out'
    run(place, out, '--networks', f'bicubic,tiny={file}')
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    other = write_frames(tmp_path / 'b', moving_frames(2, seed=1))
    capsys.readouterr()
    assert f'(place is {place} there, and {other} here)' in refusal(capsys, other, out, '--networks', 'bicubic')
    # Another network would lose the table alone.
    write_network(tmp_path, 1, 'new')
    found = refusal(capsys, other, out, '--networks', f'new={tmp_path / "new.yml"}')
    assert 'has the results of another comparison' in found
    assert 'channel is rgb there, and y here' in refusal(capsys, place, out, '--networks', 'bicubic', '--channel', 'y')
    write_network(tmp_path, 2)
    found = refusal(capsys, place, out, '--networks', f'tiny={file}')
    assert 'of a comparison of tiny with other weights or settings; name another folder by --out' in found
    assert {path: path.read_bytes() for path in out.rglob('*') if path.is_file()} == before


def test_the_scale_is_that_of_the_option_file_and_bicubic_follows(tmp_path, capsys):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    run(place, tmp_path / 'out', '--networks', 'bicubic', write_gsm(tmp_path, 'half'))
    records = [json.loads((tmp_path / 'out' / f'{name}.json').read_text()) for name in ('bicubic', 'half')]
    assert [record['protocol']['scale'] for record in records] == [2, 2]
    assert records[0]['settings']['network_g']['upscale'] == 2
    out = capsys.readouterr().out
    assert 'half has random weights: its option file names none' in out
    assert 'half (random weights)' in (tmp_path / 'out' / 'page.html').read_text()
    assert 'bicubic (no weights)' in (tmp_path / 'out' / 'page.html').read_text()


@pytest.mark.parametrize('scale', [2, 3])
def test_bicubic_alone_takes_any_scale(tmp_path, scale):
    place = write_frames(tmp_path / 'clip', moving_frames(2))
    run(place, tmp_path / 'out', '--networks', 'bicubic', '--scale', str(scale))
    record = json.loads((tmp_path / 'out' / 'bicubic.json').read_text())
    assert (record['protocol']['scale'], record['lq_size']) == (scale, [48 // scale, 64 // scale])


def test_pictures_are_the_middle_frame_and_its_middle_row_in_time(tmp_path):
    frames = moving_frames(3)
    place = write_frames(tmp_path / 'clip', frames)
    run(place, tmp_path / 'out', '--networks', 'bicubic')
    pictures = tmp_path / 'out' / 'pictures' / 'clip'
    assert {path.name for path in pictures.iterdir()} == {
        f'{label}{ending}.png' for label in ('LQ', 'GT', 'bicubic') for ending in ('', '.time')
    }
    np.testing.assert_array_equal(cv2.imread(str(pictures / 'GT.png')), frames[1])
    np.testing.assert_array_equal(cv2.imread(str(pictures / 'GT.time.png')), [frame[24] for frame in frames])


def test_frames_like_the_ground_truth_are_named_below_the_table(tmp_path, capsys):
    frames = [np.zeros_like(frame) if number == 1 else frame for number, frame in enumerate(moving_frames(3))]
    run(write_frames(tmp_path / 'clip', frames), tmp_path / 'out', '--networks', 'bicubic')
    values = json.loads((tmp_path / 'out' / 'bicubic.json').read_text())['clips']['clip']['values']
    note = 'bicubic, clip clip: frame 00000001 is like the ground truth, PSNR counts as 100 dB there.'
    assert values['psnr'][1] == 100
    for text in (
        capsys.readouterr().out,
        *((tmp_path / 'out' / name).read_text() for name in ('table.md', 'page.html')),
    ):
        assert note in text
        assert f'{np.mean(values["psnr"]):.2f}' in text
