import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gsm_plugin.archs.building import build
from gsm_plugin.inference import restorer
from tests.inference.video.films import scene

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/study_windows.py'


@pytest.fixture
def rows(tmp_path, monkeypatch, capsys):
    """Runs the script on a clip of 30 frames with a network of random weights; gives the cells of its table."""
    for folder, side in (('GT', 64), ('BIx4', 16)):
        (tmp_path / folder / 'clip').mkdir(parents=True)
        for number, image in enumerate(scene(30, 64, 64)):
            frame = cv2.resize(image.transpose(1, 2, 0).astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(tmp_path / folder / 'clip' / f'{number:08d}.png'), frame)
    torch.manual_seed(0)
    weights = build({'type': 'BasicVSR', 'num_feat': 4, 'num_block': 1}).state_dict()
    # Random weights are small, so that little would come from other frames.
    torch.save({'params': {name: 2 * value for name, value in weights.items()}}, tmp_path / 'weights.pth')
    spec = importlib.util.spec_from_file_location('study_windows', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(study, *words):
        common = ['--data', str(tmp_path), '-w', str(tmp_path / 'weights.pth'), '--clips', 'clip', *words]
        monkeypatch.setattr(sys, 'argv', ['study_windows', study, *common])
        script.main()
        table = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| clip')]
        return [[cell.strip() for cell in line.split('|')[1:-1]] for line in table][1:]

    return run


@pytest.mark.slow
def test_more_context_is_nearer_to_the_whole_clip(rows):
    without, some = rows('contexts', '--contexts', '0', '2', '--frames', '21')
    assert [row[:4] for row in (without, some)] == [['clip', '0', '16', '21'], ['clip', '2', '20', '21']]
    assert 20 < float(without[4]) < float(some[4])


def test_tiles_and_precisions_get_a_row_each_and_a_picture(rows, tmp_path):
    words = [
        '--frames',
        '3',
        '--tile',
        '12',
        '--overlaps',
        '4',
        '--border',
        '0',
        '--pictures',
        str(tmp_path / 'pictures'),
    ]
    tiles = rows('tiles', *words)
    assert [row[1] for row in tiles] == ['blended', 'published']
    assert all(20 < float(row[5]) < 200 for row in tiles)
    assert cv2.imread(str(tmp_path / 'pictures' / 'clip_blended_4.png')).shape == (64, 64, 3)
    ((_, precision, frames, distance, *_),) = rows('precisions', '--frames', '3', '--precisions', 'fp32')
    assert (precision, frames, distance) == ('fp32', '3', 'inf')


def test_outputs_are_compared_with_those_of_fp32_where_auto_is_something_else(rows, monkeypatch):
    # as on a GPU
    monkeypatch.setattr(restorer, 'choose_precision', lambda wanted, _: ('bf16' if wanted == 'auto' else wanted, ''))
    ((*_, distance, _, _, _),) = rows('precisions', '--frames', '3', '--precisions', 'bf16')
    assert 20 < float(distance) < 200
