import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import pytest

from gsm_plugin.errors import UserError
from gsm_plugin.inference.video import job
from gsm_plugin.inference.video.encoding import Wishes
from gsm_plugin.inference.video.job import run_job
from gsm_plugin.inference.video.request import Request
from tests.inference.video.films import Nearest, Quiet, make_film, planned, scene
from tests.inference.video.test_jobs import enlarge

SMALL = {'window': 8, 'context': 1, 'segment_frames': 4, 'wishes': Wishes(preset='ultrafast')}


class Stops(Nearest):
    """Fails at its n-th window, when at least one segment is finished."""

    def __init__(self, scale, windows, folder):
        super().__init__(scale)
        self.windows, self.folder = windows, folder

    def restore(self, clip):
        if len(self.seen) == self.windows:
            while not finished_in(self.folder):
                time.sleep(0.01)
            raise KeyboardInterrupt
        return super().restore(clip)


def finished_in(folder):
    return [path for path in folder.glob('segment_*') if path.suffix != '.part']


@pytest.fixture
def source(tmp_path):
    return make_film(tmp_path / 'in.mp4', scene(24), codec='libx264')


def interrupted(source, target, windows=3, **wanted):
    folder = target.with_name(f'{target.name}.segments')
    with pytest.raises(KeyboardInterrupt):
        enlarge(source, target, Stops(2, windows, folder), **{**SMALL, **wanted})
    assert not target.exists()
    return folder


def test_an_interrupted_run_goes_on_and_gives_the_same_film(source, tmp_path):
    enlarge(source, tmp_path / 'whole.mp4', Nearest(2), **SMALL)
    assert finished_in(interrupted(source, tmp_path / 'parts.mp4'))
    network = Nearest(2)
    enlarge(source, tmp_path / 'parts.mp4', network, **SMALL)
    assert 0 < len(network.seen) < 4
    assert (tmp_path / 'parts.mp4').read_bytes() == (tmp_path / 'whole.mp4').read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in.mp4', 'parts.mp4', 'whole.mp4']


@pytest.mark.parametrize(
    'other', [{'wishes': Wishes(crf=30)}, {'window': 10}, {'start': 0.2}, {'outscale': 3.0}, {'code': '1f'}]
)
def test_other_settings_do_not_mix(source, tmp_path, other):
    left = interrupted(source, tmp_path / 'out.mp4')
    before = sorted(path.name for path in left.iterdir())
    with pytest.raises(UserError, match=r'other settings .*--restart'):
        enlarge(source, tmp_path / 'out.mp4', Nearest(2), **{**SMALL, **other})
    assert sorted(path.name for path in left.iterdir()) == before
    enlarge(source, tmp_path / 'out.mp4', Nearest(2), **{**SMALL, **other}, restart=True)
    assert (tmp_path / 'out.mp4').exists()


def test_pieces_of_another_version_do_not_mix(source, tmp_path, monkeypatch):
    interrupted(source, tmp_path / 'out.mp4')
    monkeypatch.setattr(job, '__version__', '9.9.9')
    with pytest.raises(UserError, match=r'other settings \(versions: gsm_plugin \S+, torch .* now gsm_plugin 9\.9\.9,'):
        enlarge(source, tmp_path / 'out.mp4', Nearest(2), **SMALL)


def test_a_run_that_finished_no_piece_does_not_stand_in_the_way_of_other_settings(source, tmp_path):
    class Fails(Nearest):
        def restore(self, clip):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enlarge(source, tmp_path / 'out.mp4', Fails(2), **SMALL)
    assert (tmp_path / 'out.mp4.segments/manifest.json').exists()
    enlarge(source, tmp_path / 'out.mp4', Nearest(2), **{**SMALL, 'window': 10})
    assert (tmp_path / 'out.mp4').exists()


def test_another_input_of_the_same_name_does_not_mix(source, tmp_path):
    interrupted(source, tmp_path / 'out.mp4')
    make_film(source, scene(24, seed=5), codec='libx264')
    with pytest.raises(UserError, match='other settings'):
        enlarge(source, tmp_path / 'out.mp4', Nearest(2), **SMALL)


DAMAGES = [lambda data: data[: len(data) // 2], lambda data: data[:99] + b'?' + data[100:], lambda data: b'']


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_piece_that_was_damaged_is_made_again(source, tmp_path, damage):
    enlarge(source, tmp_path / 'whole.mp4', Nearest(2), **SMALL)
    piece = min(finished_in(interrupted(source, tmp_path / 'parts.mp4')))
    piece.write_bytes(damage(piece.read_bytes()))
    watcher = Quiet()
    run_job(planned(Request(source, tmp_path / 'parts.mp4', **SMALL), Nearest(2), watcher), [Nearest(2)], watcher)
    assert f'{piece} is damaged, so its frames are made again' in watcher.lines
    assert (tmp_path / 'parts.mp4').read_bytes() == (tmp_path / 'whole.mp4').read_bytes()


def test_an_image_that_was_removed_is_made_again(source, tmp_path):
    interrupted(source, tmp_path / 'parts')
    min((tmp_path / 'parts.part').iterdir()).unlink()
    enlarge(source, tmp_path / 'parts', Nearest(2), **SMALL)
    assert len(list((tmp_path / 'parts').iterdir())) == 24


@pytest.mark.parametrize('restart', [False, True])
def test_a_folder_of_ones_own_is_not_taken_for_pieces(source, tmp_path, restart):
    own = tmp_path / 'out.mp4.segments/mine.txt'
    own.parent.mkdir()
    own.write_text('precious')
    with pytest.raises(UserError, match=r'out.mp4.segments is for pieces of the output, but has mine.txt; rename it'):
        enlarge(source, tmp_path / 'out.mp4', Nearest(2), **SMALL, restart=restart)
    assert own.read_text() == 'precious'


@pytest.mark.parametrize(
    'error', [av.error.OSError(28, 'No space left', 'out.mp4.part'), OSError(27, 'File too large')]
)
def test_a_disk_that_is_full_while_the_film_is_joined_is_said(source, tmp_path, monkeypatch, error):
    from gsm_plugin.inference.video import joining
    from gsm_plugin.inference.video.batch import run_requests
    from gsm_plugin.inference.video.progress import Progress

    def full(*given):
        raise error

    monkeypatch.setattr(joining, '_write', full)
    (outcome,) = run_requests([Request(source, tmp_path / 'out.mp4', **SMALL)], [Nearest(2)], Progress)
    assert (
        f'{os.strerror(error.errno)} at {tmp_path / "out.mp4"}; what was finished is kept, so make room' in outcome.text
    )


def test_an_input_that_is_gone_is_told_so_when_the_film_is_joined(source, tmp_path, monkeypatch):
    from gsm_plugin.inference.video import joining

    write = joining._write

    def without(*given):
        source.unlink()
        write(*given)

    monkeypatch.setattr(joining, '_write', without)
    with pytest.raises(UserError, match=r'^\S+in.mp4 is missing or no file; correct its path.$'):
        enlarge(source, tmp_path / 'out.mp4', Nearest(2), **SMALL)


def test_images_go_on_too(source, tmp_path):
    enlarge(source, tmp_path / 'whole', Nearest(2), **SMALL)
    interrupted(source, tmp_path / 'parts')
    network = Nearest(2)
    enlarge(source, tmp_path / 'parts', network, **SMALL)
    assert 0 < len(network.seen) < 4
    names = sorted(path.name for path in (tmp_path / 'whole').iterdir())
    assert names == sorted(path.name for path in (tmp_path / 'parts').iterdir())
    assert all((tmp_path / 'whole' / name).read_bytes() == (tmp_path / 'parts' / name).read_bytes() for name in names)


class Meets(Nearest):
    """Waits at its first window until every other network has one too, so that none takes them all."""

    def __init__(self, scale, together):
        super().__init__(scale)
        self.together = together

    def restore(self, clip):
        if not self.seen:
            self.together.wait(timeout=60)
        return super().restore(clip)


def test_two_devices_give_the_film_of_one(source, tmp_path):
    enlarge(source, tmp_path / 'one.mp4', Nearest(2), **SMALL)
    together = threading.Barrier(2)
    networks, watcher = [Meets(2, together), Meets(2, together)], Quiet()
    job = planned(Request(source, tmp_path / 'two.mp4', **SMALL), networks[0], watcher)
    run_job(job, networks, watcher)
    assert all(network.seen for network in networks)
    assert (tmp_path / 'two.mp4').read_bytes() == (tmp_path / 'one.mp4').read_bytes()


def test_an_error_on_one_device_ends_the_work_of_all(source, tmp_path):
    class Broken(Nearest):
        def restore(self, clip):
            raise UserError('This one is broken.')

    job = planned(Request(source, tmp_path / 'out.mp4', **SMALL), Nearest(2), Quiet())
    with pytest.raises(UserError, match='broken'):
        run_job(job, [Nearest(2), Broken(2)], Quiet())


def test_a_disk_that_is_full_is_said_and_leaves_what_was_finished(source, tmp_path, monkeypatch):
    from gsm_plugin.inference.video import sinks
    from gsm_plugin.inference.video.batch import run_requests
    from gsm_plugin.inference.video.progress import Progress

    write, calls = sinks.write_packets, []

    def full(path, packets):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, 'No space left on device', str(path))
        return write(path, packets)

    monkeypatch.setattr(sinks, 'write_packets', full)
    request = Request(source, tmp_path / 'out.mp4', **SMALL)
    (outcome,) = run_requests([request], [Nearest(2)], Progress)
    assert outcome.state == 'failed'
    assert 'No space left on device' in outcome.text
    assert len(list((tmp_path / 'out.mp4.segments').glob('segment_*'))) == 2
    (outcome,) = run_requests([request], [Nearest(2)], Progress)
    assert outcome.state == 'done'


SCRIPT = """
import sys, time
from pathlib import Path
from tests.inference.video.films import Nearest
from tests.inference.video.test_resuming import SMALL, enlarge
class Slow(Nearest):
    def restore(self, clip):
        time.sleep(0.05)
        return super().restore(clip)
enlarge(Path(sys.argv[1]), Path(sys.argv[2]), Slow(2), **SMALL)
"""


def test_killed_at_random_moments_the_film_is_the_same_in_the_end(source, tmp_path):
    """Kills the process outright, at moments that are drawn anew each time."""
    enlarge(source, tmp_path / 'whole.mp4', Nearest(2), **SMALL)
    target, kills = tmp_path / 'out.mp4', 0
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[3]), 'OMP_NUM_THREADS': '1'}
    shutil.rmtree(tmp_path / 'out.mp4.segments', ignore_errors=True)
    chance = random.Random(int(os.environ.get('KILL_SEED', '0')))
    wanted, longest = int(os.environ.get('KILLS', '2')), 1.0
    while kills < wanted:
        process = subprocess.Popen([sys.executable, '-c', SCRIPT, str(source), str(target)], env=environment)
        segments = tmp_path / 'out.mp4.segments'
        while not segments.exists() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, longest))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists() and kills:
            break
        if target.exists():
            # the machine was faster than the moment that was drawn
            target.unlink()
            longest /= 2
    if not target.exists():
        enlarge(source, target, Nearest(2), **SMALL)
    assert target.read_bytes() == (tmp_path / 'whole.mp4').read_bytes()
