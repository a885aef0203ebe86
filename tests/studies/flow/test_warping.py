import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.errors import UserError
from gsm_plugin.ops import COMPOSITIONS, compose_window_flows, grid
from gsm_plugin.studies.flow.warping import (
    at_distance,
    find_scenes,
    mean_distance,
    measure_pairs,
    measure_warping,
    of_windows,
)

SCRIPT = Path(__file__).parents[3] / 'scripts/study_warping.py'
HEIGHT, WIDTH, FRAMES, SPEED = 24, 48, 5, 2
REACH = FRAMES - 1
SIDE = 8


def texture(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shifted_clip():
    """A texture that moves to the right by whole pixels, and its flows."""
    wide = texture(3, HEIGHT, WIDTH + SPEED * REACH)
    starts = [SPEED * (REACH - i) for i in range(FRAMES)]
    flow = torch.tensor([SPEED, 0], dtype=torch.float64).view(1, 1, 2, 1, 1).expand(1, REACH, 2, HEIGHT, WIDTH)
    return torch.stack([wide[..., start : start + WIDTH] for start in starts])[None], flow, -flow


def object_before_background():
    """A square that moves to the right before a background that stands still, and the flows of what is seen."""
    background, square = texture(3, HEIGHT, WIDTH), texture(3, SIDE, SIDE, seed=1)
    clip = background.repeat(1, FRAMES, 1, 1, 1)
    backward = torch.zeros(1, REACH, 2, HEIGHT, WIDTH, dtype=torch.float64)
    forward = backward.clone()
    for i in range(FRAMES):
        place = (..., slice(8, 8 + SIDE), slice(8 + SPEED * i, 8 + SPEED * i + SIDE))
        clip[0, i][place] = square
        if i < REACH:
            backward[0, i, 0][place] = SPEED
        if i > 0:
            forward[0, i - 1, 0][place] = -SPEED
    return clip, backward, forward


@pytest.mark.parametrize('distance', [1, 2, 3, 4])
def test_known_motion_leaves_no_error_where_it_stays_in_the_frame(distance):
    measured = measure_pairs(*shifted_clip(), REACH, 'exact')
    for name, expected in (('visible error', 0), ('occluded', 0), ('outside', SPEED * distance / WIDTH)):
        values = at_distance(measured[name], distance)
        assert values.tolist() == pytest.approx([expected] * (FRAMES - distance), abs=1e-6), name
    assert (at_distance(measured['error'], distance) > 0).all()
    assert (at_distance(measured['still'], distance) > 0.2).all()


@pytest.mark.parametrize('distance', [1, 2, 3, 4])
def test_what_an_object_comes_to_cover_is_occluded(distance):
    measured = measure_pairs(*object_before_background(), REACH, 'exact')
    expected = SIDE * SPEED * distance / (HEIGHT * WIDTH)
    assert at_distance(measured['occluded'], distance).tolist() == pytest.approx([expected] * (FRAMES - distance))
    assert at_distance(measured['visible error'], distance).abs().max() < 1e-9
    assert not at_distance(measured['outside'], distance).any()


def test_the_published_composition_errs_beyond_the_neighbours_and_agrees_with_itself():
    """Its flows there and back fit each other at places that they should not lead to, which so count as visible."""
    reference, exact = (measure_pairs(*object_before_background(), REACH, name) for name in COMPOSITIONS)
    for name in reference:
        assert torch.equal(at_distance(reference[name], 1), at_distance(exact[name], 1))
    assert (at_distance(reference['visible error'], 2) > 1e-4).all()
    assert (at_distance(exact['visible error'], 2) < 1e-9).all()


@pytest.mark.parametrize(
    ('size', 'center', 'forward'), [(3, [1, 0, 1], [2, 1, 0]), (5, [2, 1, 0, 1, 2], [4, 3, 2, 1, 0])]
)
def test_windows_hold_the_distances_of_their_anchor(size, center, forward):
    distances = torch.arange(-6, 7).abs().expand(9, 13)
    for anchor, expected in (('center', center), ('forward', forward)):
        for power in (1, 2):
            mean = sum(distance**power for distance in expected) / size
            assert of_windows(distances.double() ** power, size, anchor).tolist() == pytest.approx(
                [mean] * (9 - size + 1)
            )
        assert mean_distance(size, anchor) == pytest.approx(sum(expected) / size)


def test_missing_pairs_are_in_no_window_and_no_distance():
    measured = measure_pairs(*shifted_clip(), REACH, 'exact')
    assert measured['error'].isnan().any()
    assert of_windows(measured['error'], FRAMES, 'forward').isfinite().all()
    assert of_windows(measured['error'], 3, 'center').shape == (FRAMES - 2,)


@pytest.mark.parametrize(('anchor', 'place'), [('center', 2), ('forward', 4)])
@pytest.mark.parametrize('composition', COMPOSITIONS)
def test_windows_are_those_of_both_sweeps_of_the_network(composition, anchor, place):
    clip = texture(1, 7, 3, 10, 12)
    backward, forward = (2 * texture(1, 6, 2, 10, 12, seed=seed) - 1 for seed in (1, 2))
    error = measure_pairs(clip, backward, forward, 6, composition)['error']
    both = (clip, backward, forward), (clip.flip(1), forward.flip(1), backward.flip(1))
    sweeps = [window_errors(*sweep, place, composition) for sweep in both]
    torch.testing.assert_close(of_windows(error, 5, anchor), (sweeps[0] + sweeps[1].flip(0)) / 2)


def window_errors(clip, backward, forward, place, composition):
    """The mean error of the frames of each window of 5 that a sweep warps to its anchor."""
    gather, _ = compose_window_flows(backward, forward, 2, place, composition)
    means = []
    for first in range(clip.shape[1] - 4):
        places = grid.sampling_grid(grid.places(gather[0, first + 2]), *clip.shape[-2:])
        frames = clip[0, first : first + 5]
        warped = F.grid_sample(frames, places, padding_mode='border', align_corners=True)
        means.append((warped - frames[place]).abs().mean())
    return torch.stack(means)


def two_scenes(first, second):
    """Two patterns that move, (1, first + second, 3, 32, 40), with a cut between them."""
    dark, bright = 0.3 * texture(3, 32, 60).float(), 0.7 + 0.3 * texture(3, 32, 60, seed=1).float()
    return torch.stack(
        [part[..., i : i + 40] for part, frames in ((dark, first), (bright, second)) for i in range(frames)]
    )[None]


def test_no_pair_goes_over_a_cut():
    torch.manual_seed(0)
    clip = two_scenes(8, 9)
    assert find_scenes(clip) == [(0, 8), (8, 17)]
    measured = measure_warping('clip', clip, build_spynet())
    assert [len(pairs['error']) for pairs in measured.scenes['exact']] == [8, 9]
    # a cut changes brightness by more than any motion does
    assert measured.at('exact', 'still', 6).mean < 0.3
    assert measured.reference_above_exact('error', 3).mean == pytest.approx(
        measured.at('reference', 'error', 3).mean - measured.at('exact', 'error', 3).mean
    )
    assert measured.forward_above_center('exact', 'error', 5).mean == pytest.approx(
        measured.of_windows('exact', 'error', 5, 'forward').mean
        - measured.of_windows('exact', 'error', 5, 'center').mean
    )


def test_a_clip_without_a_scene_of_the_largest_window_is_refused():
    with pytest.raises(UserError, match='clip has no 7 frames without a cut; give it more frames'):
        measure_warping('clip', two_scenes(6, 6), build_spynet())


def test_the_script_prints_both_tables_and_draws(tmp_path, monkeypatch, capsys):
    for folder in ('GT', 'LQ'):
        (tmp_path / folder / 'a').mkdir(parents=True)
        for i, frame in enumerate(two_scenes(8, 0)[0]):
            image = np.ascontiguousarray((frame.permute(1, 2, 0) * 255).byte().numpy())
            cv2.imwrite(str(tmp_path / folder / f'a/{i}.png'), image)
    spec = importlib.util.spec_from_file_location('study_warping', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    picture = tmp_path / 'out/picture.png'
    words = ['--clips', str(tmp_path), '--lq', 'LQ', '--out', str(picture)]
    monkeypatch.setattr(sys, 'argv', ['study_warping', *words])
    assert script.main() == 0
    rows = [line.split('|') for line in capsys.readouterr().out.splitlines() if line.startswith(('| a', '| mean'))]
    # six distances, and three sizes in both compositions, of a clip and of the mean
    assert len(rows) == 2 * (6 + 3 * 2)
    assert rows[0][3:] == rows[6][3:]
    assert cv2.imread(str(picture)) is not None
    monkeypatch.setattr(sys, 'argv', ['study_warping', *words, '--frames', '5'])
    assert script.main() == 2
    assert 'study_warping: a has no 7 frames without a cut' in capsys.readouterr().err
