import pytest
import torch

from gsm_plugin.compat import UserError
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.memory import (
    Cost,
    learn_cost,
    measured_on,
    peak_of,
    plan_memory,
    read_bytes,
    show_bytes,
)
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request
from tests.inference.video.films import Nearest, make_film, read_film, scene


class Tiled(Nearest):
    """Notes what tile it is given."""

    tile = None

    def with_tile(self, tile, overlap):
        other = Tiled(self.scale)
        other.tile = tile
        return other


@pytest.mark.parametrize(
    'text, number', [('8GiB', 8 * 2**30), ('1.5g', 1.5 * 2**30), ('500 MiB', 500 * 2**20), ('7', 7)]
)
def test_sizes_are_read_as_people_write_them(text, number):
    assert read_bytes(text) == number


@pytest.mark.parametrize('text', ['much', '-1GiB', '0', '8XiB'])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match='--memory is'):
        read_bytes(text)


def test_the_cost_of_a_network_is_learned_from_two_sizes():
    cost = learn_cost(lambda frames, height, width: 1000 + 50 * frames * height * width, scale=1)
    assert cost.fixed == pytest.approx(1000)
    assert cost.per_value == pytest.approx(50 + 36)


def test_the_longest_window_that_fits_is_taken_and_tiles_only_where_none_does():
    cost, size = Cost(0, 100), (180, 320)
    whole = cost.predict(32, *size)
    assert plan_memory(cost, size, 32, 8, whole).window == 32
    half = plan_memory(cost, size, 32, 4, whole // 2)
    assert (half.window, half.tile) == (16, None)
    tiles = plan_memory(cost, size, 32, 4, whole // 8)
    assert tiles.window == 13
    assert 64 <= tiles.tile < 320
    for plan in (half, tiles):
        assert plan.predicted <= plan.budget
        seen = size if plan.tile is None else (plan.tile, plan.tile)
        assert plan.predicted >= cost.predict(plan.window, *(min(a, b) for a, b in zip(seen, size, strict=True)))
    with pytest.raises(UserError, match='too little'):
        plan_memory(cost, size, 32, 4, 1000)


def test_what_a_network_takes_is_measured():
    class Greedy(Nearest):
        def restore(self, clip):
            held = torch.ones(2**24)
            return clip * held[0]

    assert measured_on(Greedy())(2, 8, 8) >= 0.8 * 2**26
    with peak_of('cpu') as peak:
        held = torch.ones(2**23)
        held.add_(1)
    assert peak[0] >= 0.8 * 2**25


def test_a_budget_makes_windows_shorter_and_is_told(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(20), codec='ffv1')
    network, progress = Tiled(1), Progress()
    request = Request(source, tmp_path / 'out.mkv', window=32, context=2, memory=2**34)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done'
    assert any('memory: windows of 32 frames, whole frames' in line for line in progress.lines)
    assert any('the first window took' in line for line in progress.lines)
    (outcome,) = run_requests([Request(source, tmp_path / 'no.mkv', memory=1)], [network], Progress)
    assert outcome.state == 'failed'
    assert 'too little' in outcome.text


class Small(Nearest):
    """Has memory for few frames."""

    def restore(self, clip):
        if clip.shape[1] > 9:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return super().restore(clip)


def test_where_memory_ends_the_work_stops_or_goes_on_aloud_with_smaller_windows(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(20))
    wanted = {'window': 16, 'context': 2}
    (outcome,) = run_requests([Request(source, tmp_path / 'a.mkv', **wanted)], [Small(1)], Progress)
    assert outcome.state == 'failed'
    assert 'too little memory for 16 frames of 64x48' in outcome.text
    assert '--retry-smaller' in outcome.text
    progress = Progress()
    request = Request(source, tmp_path / 'b.mkv', retry_smaller=True, **wanted)
    (outcome,) = run_requests([request], [Small(1)], lambda: progress)
    assert outcome.state == 'done'
    assert any('begun anew with windows of 8 frames' in line for line in outcome.report['log'])
    assert outcome.report['settings']['window'] == '8'
    assert len(read_film(tmp_path / 'b.mkv')) == 20


def test_sizes_are_shown_as_people_read_them():
    assert show_bytes(3 * 2**29) == '1.50 GiB'
    assert show_bytes(2**28) == '256 MiB'
