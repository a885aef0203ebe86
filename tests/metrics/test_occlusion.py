"""What a frame hides of the next one, and the error of that, in scenes whose motion is known."""

import gsm_plugin  # noqa: F401  (makes basicsr importable, so it comes first)

# isort: split
import numpy as np
import pytest
import torch

from gsm_plugin.metrics.occlusion import hidden_before, hidden_in, squared_errors
from gsm_plugin.metrics.perceptual import Perceptual
from tests.metrics.test_perceptual import moving, noisy, texture

H, W = 96, 128


def still(dx=0.0, dy=0.0):
    return np.broadcast_to(np.float32([dx, dy]), (H, W, 2)).copy()


def uncovering(step=6):
    """Two frames, where a square of another texture has moved to the right, and what it has uncovered."""
    square = texture(160, 192)[60:100, 60:100]
    frames = []
    for left in (40, 40 + step):
        frame = texture()
        frame[30:70, left : left + 40] = square
        frames.append(frame)
    uncovered = np.zeros((H, W), bool)
    uncovered[30:70, 40 : 40 + step] = True
    return frames, uncovered


def test_nothing_is_hidden_where_all_moves_alike_but_what_came_into_the_frame():
    assert not hidden_before(still(), still()).any()
    hidden = hidden_before(still(-5, 2), still(5, -2))
    # it was left of the frame, or below it
    expected = np.zeros((H, W), bool)
    expected[:, :5] = expected[H - 2 :] = True
    assert np.array_equal(hidden, expected)


def test_a_flow_that_does_not_lead_back_is_of_a_hidden_pixel():
    back = still(0, 0)
    back[10:20, 30:40] = 4
    hidden = hidden_before(still(), back)
    assert hidden[10:20, 30:40].all()
    assert hidden.sum() == 100


def test_what_an_object_uncovers_is_found():
    (before, now), uncovered = uncovering()
    hidden = hidden_in(before, now)
    assert hidden[uncovered].mean() > 0.5
    assert hidden[:, 80:].mean() < 0.15
    assert hidden[:20].mean() < 0.05


@pytest.mark.parametrize('height, width', [(1, 40), (9, 5)])
def test_frames_may_be_small(height, width):
    frame = np.zeros((height, width, 3), np.uint8)
    assert hidden_in(frame, frame).shape == (height, width)


def test_the_two_parts_are_the_mean_squared_error():
    gt, output = texture(), noisy([texture()])[0]
    hidden = np.random.default_rng(0).random((H, W)) < 0.2
    parts = squared_errors((output, gt), hidden)
    whole = np.square(output.astype(float) - gt).mean()
    assert sum(parts) == pytest.approx(whole)
    assert 0.1 < parts[0] / whole < 0.3


def test_an_error_of_what_is_uncovered_counts_as_hidden():
    gts, _ = uncovering()
    hidden = hidden_in(*gts)
    output = gts[1].copy()
    output[hidden] //= 2
    found = Perceptual(['mse_hidden', 'mse_shown']).score([gts[0], output], gts, 0, torch.device('cpu'))
    expected = np.square(output.astype(float) - gts[1]).mean()
    assert found == {'mse_hidden': (pytest.approx(expected),), 'mse_shown': (0,)}


def test_noise_everywhere_is_shown_where_nothing_is_hidden():
    gts = moving(2, dx=0)
    found = Perceptual(['mse_hidden', 'mse_shown']).score(noisy(gts), gts, 0, torch.device('cpu'))
    assert found['mse_hidden'] == (0,)
    assert found['mse_shown'][0] > 50
