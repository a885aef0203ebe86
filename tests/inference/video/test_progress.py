import io
import json
import threading

import pytest
import torch
from torch import nn

from gsm_plugin.inference.handling import Handling
from gsm_plugin.inference.restorer import Restorer
from gsm_plugin.inference.video import fitting_memory, job, progress
from gsm_plugin.inference.video.batch import run_requests
from gsm_plugin.inference.video.fitting_memory import Memory
from gsm_plugin.inference.video.memory import TimedMeasure
from gsm_plugin.inference.video.opening import learn
from gsm_plugin.inference.video.pace import Pace
from gsm_plugin.inference.video.progress import Bar, JsonLines, Lines, Progress
from gsm_plugin.inference.video.request import Request
from gsm_plugin.inference.video.timing import show_time
from tests.inference.video.films import Nearest, make_film, scene


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def no_ticks(monkeypatch):
    """Nothing happens by itself."""
    monkeypatch.setattr(progress, '_Ticker', lambda tick: type('', (), {'stop': lambda self: None})())


def test_time_left_is_that_of_the_windows_that_are_done_and_a_guess_before():
    pace = Pace((20, 20, 10), 100.0, guess=3.0)
    assert pace.seconds_left(130.0) == 50 * 3 - 30
    # the guess was too low, and nothing better is known
    assert pace.seconds_left(251.0) is None
    pace.end_window(20, 140.0)
    assert (pace.done, pace.seconds_a_frame) == (1, 2)
    assert pace.seconds_left(150.0) == 60 - 10
    assert pace.seconds_left(300.0) == 0
    assert Pace((20,), 0.0).seconds_left(5.0) is None


def begun(kind, **how):
    """Progress in the middle of its second window of three, two minutes after the first began."""
    clock = Clock()
    watcher = kind(clock=clock, **how)
    watcher.begin(60, 0, (24, 24, 20))
    watcher.window_begins(24)
    clock.now = 72.0
    watcher.window_ends(24)
    watcher.wrote(20)
    watcher.window_begins(24)
    watcher.part('prop_layers 1/2, step 30')
    clock.now = 120.0
    return watcher, clock


def test_a_bar_tells_where_the_window_is_and_how_long_it_all_takes():
    file = Terminal()
    watcher, _ = begun(Bar, file=file)
    watcher.show_progress()
    watcher.end()
    said = file.getvalue().replace('\r', '\n')
    assert 'frames:  33%' in said
    now = 'window 2/3: 48 s of about 0:01:12 (prop_layers 1/2, step 30), about 0:01:24 left, host '
    assert f'20/60 [00:00, 0.167 fps, {now}' in said


def test_a_file_gets_a_line_twice_a_minute():
    file = io.StringIO()
    watcher, clock = begun(Lines, file=file)
    first = len(file.getvalue().splitlines())
    for _ in range(100):
        clock.now += 1
        watcher.show_progress()
    lines = file.getvalue().splitlines()
    assert len(lines) - first == 4
    assert lines[0] == '20/60 frames, 0.278 fps, about 0:02:12 left'
    assert lines[-1].startswith('20/60 frames, 0.0')
    assert 'window 2/3: ' in lines[-1]


def test_lines_of_json_have_the_window_and_the_time_left():
    file = io.StringIO()
    watcher, _ = begun(JsonLines, file=file)
    watcher.show_progress()
    told = json.loads(file.getvalue().splitlines()[-1])
    assert told['window'] == {
        'number': 2, 'of': 3, 'seconds': 48.0, 'expected_seconds': 72.0, 'part': 'prop_layers 1/2, step 30',
    }  # fmt: skip
    assert (told['frames'], told['seconds_left']) == (20, 84)


def test_it_is_shown_while_a_window_is_worked_on(tmp_path, monkeypatch):
    """By a thread of its own, which ends with the work."""
    monkeypatch.undo()
    monkeypatch.setattr(progress, '_SECONDS_BETWEEN', 0.001)
    shown, threads = threading.Event(), set(threading.enumerate())

    class Shown(Progress):
        def show_progress(self):
            if self.window_now():
                shown.set()

    class Waits(Nearest):
        def restore(self, clip):
            # a window that lasts until it was shown
            assert shown.wait(60)
            return super().restore(clip)

    source = make_film(tmp_path / 'in.mkv', scene(6))
    (outcome,) = run_requests([Request(source, tmp_path / 'out.mkv')], [Waits(1)], Shown)
    assert outcome.state == 'done'
    assert set(threading.enumerate()) <= threads


def test_parts_of_the_network_are_told_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(job, '_PART_EVERY_S', 0.0)
    told = []

    class Told(Progress):
        def part(self, text):
            told.append(text)

    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Identity() for _ in range(2))

        def forward(self, clip):
            return self.layers[1](self.layers[0](clip))

    source = make_film(tmp_path / 'in.mkv', scene(6))
    network = Restorer(Layers(), 1)
    (outcome,) = run_requests([Request(source, tmp_path / 'out.mkv', memory=2**40)], [network], Told)
    assert outcome.state == 'done'
    assert told == ['layers 1/2, step 1', 'layers 2/2, step 2']


def test_what_is_measured_for_memory_gives_the_first_guess(tmp_path):
    source, lines = make_film(tmp_path / 'in.mkv', scene(6)), []
    memory = Memory(Request(source, tmp_path / 'out.mkv', memory=2**40), [Nearest(1), Nearest(1)], lines.append)
    with memory.measuring(learn(source)):
        pass
    # before it is silent for seconds
    assert lines[0].startswith('memory: measuring what the network takes')
    assert 'the first run on a CPU also compiles kernels' in lines[0]
    assert 0 < memory.seconds_a_frame < 60
    memory.fit(learn(source), 6)
    assert memory.seconds_a_frame is not None
    assert Memory(Request(source, tmp_path / 'out.mkv'), [Nearest(1)], lines.append).seconds_a_frame is None


def test_on_a_gpu_memory_is_measured_while_the_input_is_read(tmp_path, monkeypatch):
    source, network, measuring, read = make_film(tmp_path / 'in.mkv', scene(6)), Nearest(1), *events(2)
    network.device = torch.device('cuda')

    def measure(frames, height, width):
        measuring.set()
        assert read.wait(10)
        return 2**20

    monkeypatch.setattr(fitting_memory, 'measured_on', lambda network: measure)
    monkeypatch.setattr(fitting_memory, 'free_on', lambda device: (2**40, 'free'))
    memory = Memory(Request(source, tmp_path / 'out.mkv', memory=2**40), [network], lambda line: None)
    with memory.measuring(learn(source)):
        assert measuring.wait(10)
        read.set()
    request, _ = memory.fit(learn(source), 6)
    assert request.window == 6


def events(count):
    return [threading.Event() for _ in range(count)]


@pytest.mark.parametrize('overlap, tiles', [(32, 2), (48, 3)])
def test_what_tiles_see_twice_is_in_the_guess(tmp_path, overlap, tiles):
    source = make_film(tmp_path / 'in.mkv', scene(6, 64, 96))
    network = Restorer(nn.Identity(), 1, Handling(tile=(6, 64, 64), tile_overlap=(0, overlap, overlap)))
    memory = Memory(Request(source, tmp_path / 'out.mkv', memory=2**40), [network], lambda line: None)
    with memory.measuring(learn(source)):
        pass
    whole = memory.seconds_a_frame
    memory.fit(learn(source), 6)
    # tiles of 64 columns for 96
    assert memory.seconds_a_frame == pytest.approx(whole * tiles * 64 / 96)


@pytest.mark.parametrize('end, hint', [(None, '; --preview 0.04s shows a frame of it in about 0:10:14'), (0.2, '')])
def test_long_work_on_a_cpu_is_said_before_it(tmp_path, monkeypatch, end, hint):
    slow = property(lambda self: 0.2, lambda self, value: None)
    monkeypatch.setattr(TimedMeasure, 'seconds_a_pixel', slow, raising=False)
    source, watcher = make_film(tmp_path / 'in.mkv', scene(6)), Progress()
    request = Request(source, tmp_path / 'out.mkv', memory=2**40, end=end)
    run_requests([request], [Nearest(1)], lambda: watcher, dry=True)
    seconds = 0.2 * 48 * 64 * (6 if end is None else 5)
    (note,) = (line for line in watcher.lines if 'a CPU needs' in line)
    assert note == f'note: a CPU needs about {show_time(seconds)} for this, a GPU a small part of that{hint}'
