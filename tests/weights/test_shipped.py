"""The weights that this package brings along."""

import argparse

import cv2
import numpy as np
import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin import Restorer
from gsm_plugin.cli.infer_flags import choose_weights
from gsm_plugin.data.bicubic import resize_bicubic
from gsm_plugin.weights.download import get_weights, sha256_of
from gsm_plugin.weights.finding import find_file
from gsm_plugin.weights.known_files import KNOWN_WEIGHTS, SHIPPED
from gsm_plugin.weights.reader import read_weights


def moving_shapes(frames=5, height=96, width=128):
    """(frames, height, width, 3), uint8: shapes with sharp edges that move by 1.5 pixels a frame."""
    clip = []
    for number in range(frames):
        image = np.full((4 * height, 4 * width, 3), 90, np.uint8)
        for place, colour in enumerate(((230, 40, 60), (40, 200, 80), (240, 240, 230))):
            centre = 100 + 140 * place + 6 * number, 120 + 70 * place
            cv2.circle(image, centre, 70, colour, -1)
            cv2.line(image, (centre[0], 0), (centre[0] + 90, 4 * height), (20, 20, 20), 14)
        clip.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    return np.stack(clip)


NAMES = [known.name for known in KNOWN_WEIGHTS.values() if known.is_shipped()]


def test_all_files_are_listed_first_and_no_other_is_there():
    assert list(KNOWN_WEIGHTS)[: len(NAMES)] == NAMES
    assert {path.name for path in SHIPPED.iterdir()} == {KNOWN_WEIGHTS[name].file for name in NAMES}


@pytest.mark.parametrize('name', NAMES)
def test_a_file_is_what_the_list_says(name, tmp_path, capsys):
    known = KNOWN_WEIGHTS[name]
    path = find_file(name, tmp_path)[1]
    assert sha256_of(path) == known.sha256
    assert round(path.stat().st_size / 1e6, 2) == known.megabytes
    assert read_weights(path).metadata['trained_on'] == known.trained_on
    assert get_weights(name, tmp_path) == path
    assert 'comes with this package' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', NAMES)
def test_a_network_is_small_and_sharper_than_bicubic_interpolation(name, tmp_path, caplog):
    restorer = Restorer.load(name, 'cpu', folder=tmp_path)
    assert not [record for record in caplog.records if 'does not tell' in record.message]
    assert sum(parameter.numel() for parameter in restorer.network.parameters()) < 3e6
    gt = moving_shapes()
    lq = np.stack([resize_bicubic(frame, 1 / 4) for frame in gt])
    enlarged = np.stack([resize_bicubic(frame, 4) for frame in lq])
    restored = restorer(torch.from_numpy(lq).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    errors = [np.square(frames.astype(float) - gt).mean() for frames in (restored, enlarged)]
    assert errors[0] < 0.5 * errors[1]


def test_infer_takes_what_was_trained_on_compressed_films_unless_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = choose_weights(argparse.Namespace(weights=None, name=None, network=[]))
    assert chosen == find_file('gsm-small-x4-video', tmp_path)[1]
    assert 'compress' in read_weights(chosen).metadata['trained_on']
    named = choose_weights(argparse.Namespace(weights=None, name='gsm-small-x4', network=[]))
    assert named == find_file('gsm-small-x4', tmp_path)[1]
