import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.host_memory import held_by_process, peak_of_process
from gsm_plugin.inference.handling import Handling
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video import fitting_memory
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.byte_sizes import read_bytes, show_bytes
from gsm_plugin.inference.video.facts import Facts
from gsm_plugin.inference.video.fitting_memory import WatchedNetwork, shrunk
from gsm_plugin.inference.video.layout import Layout
from gsm_plugin.inference.video.memory import (
    Cost,
    MemoryPlan,
    Place,
    free_on,
    learn_cost,
    measured_on,
    peak_of,
    plan_memory,
    with_output,
)
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.pipeline import MemoryEndedError
from gsm_plugin.inference.video.pipeline_memory import PipelineCost, bytes_written, frames_waiting
from gsm_plugin.inference.video.progress import Progress
from gsm_plugin.inference.video.request import Request
from tests.inference.video.films import Nearest, make_film, read_film, scene


class Tiled(Nearest):
    """Notes what tile it is given, and the sizes that it sees."""

    tile = None

    def __init__(self, scale=1, seen=None):
        super().__init__(scale)
        self.shapes = [] if seen is None else seen

    def with_tile(self, tile, overlap):
        other = type(self)(self.scale, self.shapes)
        other.tile = tile
        return other

    def restore(self, clip):
        self.shapes.append((*clip.shape[-2:], self.tile))
        return super().restore(clip)


@pytest.mark.parametrize(
    'text, number', [('8GiB', 8 * 2**30), ('1.5g', 1.5 * 2**30), ('500 MiB', 500 * 2**20), ('2kb', 2**11), ('7b', 7)]
)
def test_sizes_are_read_as_people_write_them(text, number):
    assert read_bytes(text) == number


@pytest.mark.parametrize('text', ['much', '-1GiB', '0GiB', '8', '8i', '8XiB'])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match='--memory is'):
        read_bytes(text)


@pytest.mark.parametrize('device, kept', [('cpu', 48 * 2**20), ('cuda', 0)])
def test_the_cost_of_a_network_is_learned_from_three_sizes(device, kept):
    cost = learn_cost(lambda frames, height, width: 1000 + (700 + 50 * frames) * height * width, device)
    fixed = 1000 + kept
    assert cost.fixed == pytest.approx(fixed)
    assert cost.per_pixel == pytest.approx(700)
    assert cost.per_value == pytest.approx(50)
    # what a few frames take at once does not grow with their number
    assert cost.predict(200, 30, 40) == pytest.approx(1.15 * (fixed + (700 + 50 * 200) * 30 * 40), abs=1)


# Of the released sizes in bf16, x4, on an H200 (torch 2.11.0): fitted to what probes predicted, and what windows took.
RELEASED = Cost(5.35e8, 15_652, 958)


@pytest.mark.parametrize(
    'frames, height, width, whole, gib',
    [
        (250, 180, 320, True, 14.39),
        (133, 180, 320, True, 8.39),
        (96, 540, 960, True, 57.63),
        (40, 256, 256, False, 5.22),
        (40, 320, 320, False, 7.99),
    ],
)
def test_on_a_gpu_a_little_more_is_predicted_than_was_taken(frames, height, width, whole, gib):
    predict = with_output(RELEASED, 4, (height, width) if whole else (540, 960))
    assert gib < predict(frames, height, width) / 2**30 < 1.15 * gib


def test_on_a_gpu_the_output_on_its_way_to_the_encoder_counts_where_the_network_takes_less():
    predict = with_output(Cost(0, 0, 1), 2, (100, 100))
    pixels = 2000 * 200 * 200
    assert predict(2000, 100, 100) == round(1.15 * (12 * pixels + 48 * 2**24))
    assert predict(10, 100, 100) == round(1.15 * 60 * 10 * 200 * 200)


def places(cost, budget, on_host=lambda *seen: 0):
    return [Place('network', cost.predict, budget, 'as asked'), Place('host', on_host, 1000, '80% of what is free')]


def test_the_longest_window_that_fits_is_taken_and_tiles_only_where_none_does():
    cost, size = Cost(0, 0, 100), (180, 320)
    whole = cost.predict(32, *size)
    assert plan_memory(places(cost, whole), size, 32, 8).window == 32
    half = plan_memory(places(cost, whole // 2), size, 32, 4)
    assert (half.window, half.tile) == (16, None)
    tiles = plan_memory(places(cost, whole // 8), size, 32, 4)
    assert 13 <= tiles.window < 32
    assert 64 <= tiles.tile < 320
    for plan in (half, tiles):
        assert plan.predicted <= plan.budget
        seen = size if plan.tile is None else (plan.tile, plan.tile)
        assert plan.predicted >= cost.predict(plan.window, *(min(a, b) for a, b in zip(seen, size, strict=True)))
    with pytest.raises(UserError, match=r'too little.*network .* predicted of 0 MiB'):
        plan_memory(places(cost, 1000), size, 32, 4)


def test_of_tiles_those_are_taken_by_which_least_is_seen_twice():
    def of_pixels(most):
        cost = Cost(0, 0, 1 / 1.15)
        return plan_memory([Place('network', cost.predict, most, 'as asked')], (540, 960), 96, 8)

    # windows of 25 frames, of which 9 are taken, would have tiles of 512
    plan = of_pixels(25 * 512 * 512)
    assert (plan.window, plan.tile) == (96, 256)
    # the whole scene in tiles of 128 would be less work, but tiles of 256 fit
    plan = of_pixels(30 * 256 * 256)
    assert (plan.window, plan.tile) == (30, 256)
    assert of_pixels(24 * 256 * 256).tile < 256


def test_whole_frames_are_taken_unless_tiles_are_much_less_work():
    def of_frames(most):
        cost = Cost(0, 0, 1 / 1.15)
        plan = plan_memory([Place('network', cost.predict, most * 1080 * 1920, 'as asked')], (1080, 1920), 96, 8)
        return plan.window, plan.tile

    # of 38 frames 22 are taken, of 25 frames 9
    assert of_frames(38) == (38, None)
    assert of_frames(25) == (96, 576)


def test_what_the_host_has_free_limits_windows_too_and_both_are_told():
    plan = plan_memory(places(Cost(0, 0, 1), 2**40, lambda frames, *size: 50 * frames), (180, 320), 32, 4)
    assert plan.window == 20
    assert plan.describe().endswith('host 0 MiB predicted of 0 MiB (80% of what is free)')
    with pytest.raises(UserError, match=r'host .*80% of what is free'):
        plan_memory(places(Cost(0, 0, 1), 2**40, lambda frames, *size: 500 * frames), (180, 320), 32, 4)


@pytest.mark.parametrize(
    'budget, asked, on_host, window, sentence',
    [
        (
            2**30, True, 0, 32,
            'for frames of 7680x4320, even by windows of 25 frames (the fewest with --context 8) in tiles of 64x64: '
            'network 2.02 GiB predicted of 1.00 GiB (as asked); give --memory 2.3GiB, or give --context 3.',
        ),
        (2**30, False, 0, 32, 'of 1.00 GiB (all); free some memory, or give --context 3.'),
        (2**20, True, 0, 32, '(as asked); give --memory 2.3GiB.'),
        (2**30, True, 0, 18, 'even by windows of 18 frames in tiles of 64x64: network 1.46 GiB predicted of 1.00 GiB'),
        (2**40, True, 9000, 32, 'host 0 MiB predicted of 0 MiB (80%); free some memory, or give a smaller -s.'),
        (
            2**20, True, 9000, 32,
            'host 0 MiB predicted of 0 MiB (80%); give --memory 2.3GiB and free some memory.',
        ),
    ],
)  # fmt: skip
def test_where_nothing_fits_the_sentence_says_what_would(budget, asked, on_host, window, sentence):
    where = [Place('network', Cost(0, 0, 18433).predict, budget, 'as asked' if asked else 'all', asked)]
    where.append(Place('host', lambda *seen: on_host, 1000, '80%'))
    with pytest.raises(UserError) as caught:
        plan_memory(where, (4320, 7680), window, 8)
    assert sentence in str(caught.value)
    with pytest.raises(
        UserError, match=r'by windows of \d+ frames( \(the fewest with --context 8\))?: (network|host) '
    ):
        plan_memory([replace(place, budget=1) for place in where], (48, 64), window, 8)


def test_without_a_budget_what_is_free_is_planned_with(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    source, progress = make_film(tmp_path / 'in.mkv', scene(40), codec='ffv1'), Progress()
    request = Request(source, tmp_path / 'out.mkv', context=2, fit=True)
    (outcome,) = run_requests([request], [Tiled(1)], lambda: progress)
    assert outcome.state == 'done'
    (line,) = (line for line in progress.lines if 'predicted of' in line and 'windows' in line)
    assert line.count('80% of what is') == 2
    # what is predicted of the host counts what the peak counts: all that the process holds
    predicted = read_bytes(re.search(r'all on the host ([\d.]+ [GM]iB) predicted', line)[1])
    # and a little for what small films do not take, which shows in a small process
    assert 0.8 * held_by_process() < predicted < 1.2 * peak_of_process() + 2**28
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (1000, 'all of a small machine'))
    (outcome,) = run_requests([Request(source, tmp_path / 'no.mkv', fit=True)], [Tiled(1)], Progress)
    assert outcome.state == 'failed'
    assert 'all of a small machine' in outcome.text


def test_tiles_by_hand_are_in_the_plan_and_not_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    monkeypatch.setattr(fitting_memory, 'learn_cost', lambda *given: Cost(0, 0, 1000))
    free = 20 * 32 * 32 * 1150
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (2**40 if device == 'cpu' else free, 'a part'))
    source, progress = make_film(tmp_path / 'in.mkv', scene(24, 96, 128), codec='ffv1'), Progress()
    handling = Handling(tile=(1000, 32, 32), tile_overlap=(0, 16, 16), tile_rule='blended')
    network = Restorer(torch.nn.Identity(), 1, handling)
    request = Request(source, tmp_path / 'out.mkv', window=24, context=2, fit=True)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done', outcome.text
    # 5 times 32 of 96 rows, and 7 times 32 of 128 columns
    tiles = 'tiles: 32x32 pixels are seen at once, overlap 16x16, blended; each pixel is seen 2.9 times'
    assert tiles in progress.lines
    assert any(line.startswith('memory: windows of 20 frames, tiles of 32x32: network') for line in progress.lines)
    free = 6 * 32 * 32 * 1150
    (outcome,) = run_requests(
        [replace(request, overwrite=True)], [Restorer(torch.nn.Identity(), 1, handling)], Progress
    )
    assert outcome.text.startswith(
        'Memory is too little for frames of 128x96, even by windows of 7 frames (the fewest with --context 2) in tiles '
        'of 32x32: network on cpu'
    )
    assert outcome.text.endswith('; free some memory, or give --context 1.')


def test_a_network_with_tiles_is_measured_without_them(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    source = make_film(tmp_path / 'in.mkv', scene(4, 16, 32), codec='ffv1')
    sides = []

    class Watched(torch.nn.Identity):
        def forward(self, clip):
            sides.append(tuple(clip.shape[-2:]))
            return clip

    handling = Handling(tile=(1000, 8, 8), tile_overlap=(0, 4, 4), tile_rule='blended')
    request = Request(source, tmp_path / 'out.mkv', fit=True)
    (outcome,) = run_requests([request], [Restorer(Watched(), 1, handling)], Progress)
    assert outcome.state == 'done', outcome.text
    assert sides[:4] == [(64, 64), (64, 64), (64, 64), (96, 96)]
    assert set(sides[4:]) == {(8, 8)}


def test_the_plan_is_for_the_frames_of_the_longest_scene(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    monkeypatch.setattr(fitting_memory, 'learn_cost', lambda *given: Cost(0, 0, 10_000))
    # enough for the 26 frames of the longest scene, and for less than the 40 that there are
    free = 29 * 48 * 64 * 11_500
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (2**40 if device == 'cpu' else free, 'a part'))
    codes = np.concatenate([scene(26, level=20), scene(14, seed=1, level=180)])
    source = make_film(tmp_path / 'in.mkv', codes, codec='ffv1')
    network, progress = Tiled(1), Progress()
    request = Request(source, tmp_path / 'out.mkv', window=96, context=8, fit=True)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done'
    plan = 'memory: windows of 26 frames, whole frames: network on cpu 876 MiB predicted of 977 MiB'
    assert any(line.startswith(plan) for line in progress.lines)
    assert [shape[2] for shape in network.shapes] == [None, None]
    assert network.seen == [26, 14]


def test_what_fits_nowhere_is_refused_before_the_film_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    source, progress = make_film(tmp_path / 'in.mkv', scene(20), codec='ffv1'), Progress()
    monkeypatch.setattr(Progress, 'reading', lambda self, frames: pytest.fail('it is read'))
    (outcome,) = run_requests([Request(source, tmp_path / 'no.mkv', memory=1)], [Tiled(1)], lambda: progress)
    assert outcome.state == 'failed'
    assert 'even by windows of 20 frames' in outcome.text


def test_small_inputs_are_not_planned_for(tmp_path):
    source, network = make_film(tmp_path / 'in.mkv', scene(4, 8, 16), codec='ffv1'), Nearest()
    (outcome,) = run_requests([Request(source, tmp_path / 'out.mkv', fit=True)], [network], Progress)
    assert outcome.state == 'done'
    assert network.seen == [4]


def test_an_interrupted_run_goes_on_with_its_windows_whatever_is_free_now(tmp_path, monkeypatch):
    from gsm_plugin.inference.video.job import inspect, opened_workplace, plan_job
    from tests.inference.video.films import Quiet

    monkeypatch.setattr(fitting_memory, 'is_measured_by', lambda *size: False)
    source = make_film(tmp_path / 'in.mkv', scene(20), codec='ffv1')
    request = Request(source, tmp_path / 'out.mkv', window=20, context=2, fit=True)
    monkeypatch.setattr(fitting_memory, 'learn_cost', lambda *given: Cost(0, 0, 10_000))
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (11 * 48 * 64 * 11_500, 'a part'))
    fitted, _ = fitting_memory.Memory(request, [Tiled(1)], print).fit(learn(source), 20)
    assert fitted.window < 20
    job = plan_job(fitted, Tiled(1), inspect(fitted, 1, Quiet()))
    # there is something to go on from, though of no use
    opened_workplace(request.target, job.settings, restart=False).segment(99).touch()
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (2**60, 'all'))
    progress, network = Progress(), Tiled(1)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done'
    assert any(f'windows of {fitted.window} frames, whole frames, as in the run' in line for line in progress.lines)
    assert network.seen[0] == fitted.window


def test_what_stands_beside_the_network_is_predicted():
    facts = Facts('in.mkv', 100, 200, Layout('yuv420p', False, 1), 1, 25, 'h264')
    cost = PipelineCost.of(facts, 4, 4, makes_film=True)
    assert cost.predict(15, whole=True) - cost.predict(10, whole=True) == 5 * 100 * 200 * 3 * 4
    # from 16 frames on, those of a window wait for the encoder together
    assert cost.predict(40, whole=True) - cost.predict(30, whole=True) == 10 * (100 * 200 * 3 * 4 + 400 * 800 * 3)
    assert cost.predict(4000, whole=True) - cost.predict(3990, whole=True) == 10 * 100 * 200 * 3 * 4
    assert cost.predict(10, whole=False) - cost.predict(10, whole=True) == 10 * 400 * 800 * 12
    assert cost.fixed > 80 * 400 * 800
    assert cost.converted == 192 * 400 * 800


def test_the_network_and_the_conversion_of_what_it_leaves_are_not_counted_together():
    facts = Facts('in.mkv', 100, 200, Layout('yuv420p', False, 1), 1, 25, 'h264')
    cost = PipelineCost.of(facts, 4, 4, makes_film=True)
    elsewhere, output = cost.predict(10, whole=True), 10 * 400 * 800 * 12
    assert cost.predict(10, whole=True, network=0) == elsewhere + output
    assert cost.predict(10, whole=True, network=2**30) == elsewhere - cost.converted + 2**30
    in_tiles = cost.predict(10, whole=False)
    assert in_tiles == elsewhere + output
    assert cost.predict(10, whole=False, network=2**20) == in_tiles
    assert cost.predict(10, whole=False, network=2**30) == in_tiles - cost.converted + 2**30


def test_a_window_of_a_film_on_a_gpu_waits_for_the_encoder_as_a_whole():
    frame = bytes_written(Layout('yuv420p', False, 1), 720, 1280)
    assert frame == 720 * 1280 * 3 // 2
    assert frames_waiting(320, frame) == 320
    # one of more bits, whose samples wait as whole numbers of four bytes
    assert bytes_written(Layout('yuv444p10le', False, 9), 720, 1280) == 720 * 1280 * 3 * 4
    assert frames_waiting(320, 720 * 1280 * 3 * 4) == 48


def test_images_need_neither_encoder_nor_decoder_of_films():
    facts = Facts('in.mkv', 100, 200, Layout('yuv420p', False, 1), 1, 25, 'h264')
    film = PipelineCost.of(facts, 4, 4, makes_film=True)
    images = PipelineCost.of(facts, 4, 4, makes_film=False)
    assert film.fixed - images.fixed > 100 * 400 * 800
    folder = PipelineCost.of(replace(facts, names=('0.png',)), 4, 4, makes_film=False)
    assert images.fixed - folder.fixed == 19 * 100 * 200 * 3
    assert folder.per_frame == images.per_frame


@pytest.mark.parametrize('target, makes_film', [('out', False), ('out.mkv', True)])
def test_the_plan_is_of_what_is_written(tmp_path, monkeypatch, target, makes_film):
    asked = []
    real = PipelineCost.of
    monkeypatch.setattr(PipelineCost, 'of', lambda *given: asked.append(given[-1]) or real(*given))
    source = make_film(tmp_path / 'in.mkv', scene(4), codec='ffv1')
    (outcome,) = run_requests([Request(source, tmp_path / target, memory=2**34)], [Tiled(1)], Progress)
    assert outcome.state == 'done', outcome.text
    assert asked == [makes_film]


def test_a_share_of_what_is_free_may_be_taken():
    free, why = free_on('cpu')
    assert free > 2**20
    assert why.startswith('80% of what is ')


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


_SCATTERED = """
import torch
from gsm_plugin.inference.video.memory import measured_on


class Scattered:
    device, name = torch.device('cpu'), 'scattered'

    def restore(self, clip):
        # 32 MiB of pieces that cannot become one again, then 32 MiB at once
        pieces = [(torch.ones(2**16), torch.ones(2**12)) for _ in range(128)]
        between = [small for _, small in pieces]
        del pieces
        return torch.ones(2**23), between


# as a network does, after which glibc keeps pieces of such sizes
torch.ones(2**22).sum()
print(measured_on(Scattered())(2, 8, 8))
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='of glibc')
def test_what_small_clips_leave_to_the_allocator_is_not_measured():
    # in a process of its own, since one that has had memory before uses it again
    done = subprocess.run([sys.executable, '-c', _SCATTERED], capture_output=True, check=True, encoding='utf-8')
    assert 0.9 * 2**25 < int(done.stdout) < 1.2 * 2**25


def test_a_network_that_cannot_even_be_measured_is_told_in_a_sentence():
    class Huge(Nearest):
        def restore(self, clip):
            raise MemoryError

    with pytest.raises(
        UserError, match=r'cpu has too little memory even to measure \S+ on 2 frames of 16x8; free some'
    ):
        measured_on(Huge(1))(2, 8, 16)


def test_a_budget_makes_windows_shorter_and_is_told(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(20), codec='ffv1')
    network, progress = Tiled(1), Progress()
    request = Request(source, tmp_path / 'out.mkv', window=32, context=2, memory=2**34)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done'
    # as many as there are
    assert any('memory: windows of 20 frames, whole frames' in line for line in progress.lines)
    assert any('windows: 1 of at most 20 frames' in line for line in progress.lines)
    assert any('the first window, of 20 frames, took' in line for line in progress.lines)
    (outcome,) = run_requests([Request(source, tmp_path / 'no.mkv', memory=1)], [network], Progress)
    assert outcome.state == 'failed'
    assert 'too little' in outcome.text


class Small(Tiled):
    """Has memory for few frames, or for a few more in tiles of 64."""

    frames, in_tiles = 9, 0

    def restore(self, clip):
        most = self.in_tiles if self.tile and self.tile[1] <= 64 else self.frames
        if clip.shape[1] > most:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return super().restore(clip)


def test_where_memory_ends_the_work_stops_or_goes_on_aloud_with_smaller_windows(tmp_path):
    source = make_film(tmp_path / 'in.mkv', scene(20))
    wanted = {'window': 16, 'context': 2}
    (outcome,) = run_requests([Request(source, tmp_path / 'a.mkv', **wanted)], [Small(1)], Progress)
    assert outcome.state == 'failed'
    assert 'too little memory for 12 frames of 64x48' in outcome.text
    assert '--retry-smaller' in outcome.text
    progress = Progress()
    request = Request(source, tmp_path / 'b.mkv', retry_smaller=True, **wanted)
    (outcome,) = run_requests([request], [Small(1)], lambda: progress)
    assert outcome.state == 'done'
    assert any('begun anew with windows of 8 frames' in line for line in outcome.report['log'])
    assert outcome.report['settings']['window'] == '8'
    assert outcome.report['settings']['wanted'] == '16 2'
    assert len(read_film(tmp_path / 'b.mkv')) == 20


def test_when_windows_are_at_their_smallest_tiles_come_next_and_then_a_sentence(tmp_path, monkeypatch):
    source = make_film(tmp_path / 'in.mkv', scene(6, 48, 200))
    progress, network = Progress(), Small(1)
    monkeypatch.setattr(Small, 'frames', 1)
    monkeypatch.setattr(Small, 'in_tiles', 2)
    request = Request(source, tmp_path / 'out.mkv', window=4, context=0, retry_smaller=True)
    (outcome,) = run_requests([request], [network], lambda: progress)
    assert outcome.state == 'done'
    told = [line for line in progress.lines if 'begun anew' in line]
    assert ['tiles of 96x96' in line for line in told] == [False, True, False]
    assert 'tiles of 64x64' in told[-1]
    assert outcome.report['settings']['tile'] == '64'
    assert network.shapes[-1][2] == (2, 64, 64)
    monkeypatch.setattr(Small, 'in_tiles', 1)
    (outcome,) = run_requests([request], [network], Progress)
    assert outcome.state == 'failed'
    assert 'exists' in outcome.text
    (outcome,) = run_requests([Request(source, tmp_path / 'no.mkv', retry_smaller=True)], [network], Progress)
    assert outcome.state == 'failed'
    assert 'too little memory' in outcome.text
    assert not (tmp_path / 'no.mkv').exists()


def test_tiles_of_ones_own_become_smaller_than_they_were():
    facts = Facts('in.mkv', 100, 200, Layout('yuv420p', False, 1), 1, 25, 'h264')
    request, network = Request('in.mkv', 'out.mkv', window=2, context=0), Nearest()
    assert shrunk(replace(request, window=4), facts, network).tile is None
    again = replace(request, window=1)
    assert shrunk(again, facts, network).tile == 96
    network.handling = Handling(tile=(9, 96, 96))
    assert shrunk(again, facts, network).tile == 64
    network.handling = Handling(tile=(9, 64, 64))
    assert shrunk(again, facts, network) is None


def test_sizes_are_shown_as_people_read_them():
    assert show_bytes(3 * 2**29) == '1.50 GiB'
    assert show_bytes(2**28) == '256 MiB'


@pytest.mark.parametrize('tile, fits', [(64, True), (None, False)])
def test_what_tiles_are_joined_into_is_not_the_networks(monkeypatch, tile, fits):
    clip, said = torch.rand(1, 4, 3, 64, 96), []
    output = Nearest(2).restore(clip)

    @contextmanager
    def peak(device):
        yield [output.nbytes + 1000]

    monkeypatch.setattr(fitting_memory, 'peak_of', peak)
    plan = MemoryPlan(4, tile, (4, 64, tile or 96), tuple(places(Cost(0, 0, 0.01), 1500)))
    watched = WatchedNetwork(Nearest(2), plan, said.append, strict=True)
    if fits:
        assert torch.equal(watched.restore(clip), output)
        assert 'took 0 MiB' in said[0]
    else:
        with pytest.raises(MemoryEndedError):
            watched.restore(clip)
