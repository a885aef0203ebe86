import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gsm_plugin.cli import main as command
from tests.data.tools.miniature import damage, reds_names, write_pair, write_video

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Two clips of three frames below GT and LQ of the working directory."""
    write_pair(tmp_path, {'a': reds_names(3), 'b': reds_names(3)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words):
    """Runs the command and returns its exit status."""
    try:
        command.main(['data', *map(str, words)])
    except SystemExit as ended:
        return ended.code
    return 0


def test_check_says_what_it_looked_at_and_that_nothing_is_wrong(clips, capsys):
    assert call('check', 'clips', '--gt', 'GT', '--lq', 'LQ', '--workers', 2) == 0
    assert capsys.readouterr().out == '2 clips, 6 frames\nNothing is wrong.\n'


def test_check_ends_with_1_where_something_is_wrong(clips, capsys):
    damage(clips / 'LQ/b/00000002.png', 'flip')
    (clips / 'LQ/a/00000002.png').unlink()
    assert call('check', 'clips', '--gt', 'GT', '--lq', 'LQ', '--list', write('list.txt', 'a\nb\n')) == 1
    assert capsys.readouterr().out.splitlines() == [
        '2 clips, 6 frames',
        'frame 00000002 is missing in LQ/a (LQ has 2, GT has 3); add, remove or rename it.',
        'LQ/b/00000002.png is damaged, cut, or no image; copy or make it again.',
    ]


def test_check_says_which_clips_of_reds_are_held_out(tmp_path, capsys):
    write_pair(tmp_path, {clip: reds_names(1) for clip in ('001', '011')})
    listed = write(tmp_path / 'list.txt', '001 1 (16,24,3)\n011 1 (16,24,3)\n')
    assert call('check', 'reds', '--gt', tmp_path / 'GT', '--list', listed) == 0
    assert '1 to train on, held out: 011\n' in capsys.readouterr().out


def write(path, text):
    Path(path).write_text(text)
    return path


def test_an_lmdb_is_made_and_verified(clips, capsys):
    assert call('lmdb', 'create', 'GT', 'GT.lmdb') == 0
    assert capsys.readouterr().out == 'GT.lmdb: 6 images\n'
    assert call('lmdb', 'verify', 'GT.lmdb', '--workers', 1) == 0
    assert capsys.readouterr().out == 'Nothing is wrong.\n'
    (clips / 'GT.lmdb/data.mdb').write_bytes((clips / 'GT.lmdb/data.mdb').read_bytes()[:9000])
    assert call('lmdb', 'verify', 'GT.lmdb', '--workers', 1) == 1
    assert 'GT.lmdb' in capsys.readouterr().out


def test_a_list_is_written(clips, capsys):
    assert call('meta', 'GT', 'meta.txt', '--leave-out', 'b') == 0
    assert (clips / 'meta.txt').read_text() == 'a 3 (16,24,3)\n'
    assert capsys.readouterr().out == 'meta.txt, clips: 1\n'


def test_clips_come_out_of_videos(clips, capsys):
    write_video(clips / 'film.avi', [6, 8])
    assert call('from-video', 'film.avi', '--out', 'clips', '--min-frames', 5, '--max-frames', 8) == 0
    assert capsys.readouterr().out.splitlines() == [
        '000: frames 0 to 5 of film.avi',
        '001: frames 6 to 13 of film.avi',
        'With val_partition: REDS4, the REDS sets of BasicSR do not train on 000.',
    ]
    assert sorted(path.name for path in (clips / 'clips').iterdir()) == ['000', '001']


def test_a_video_of_which_nothing_is_taken_is_named_and_the_status_says_so(clips, capsys):
    write_video(clips / 'long.avi', [9, 3], (50, 66))
    write_video(clips / 'short.avi', [4, 5])
    assert call('from-video', 'short.avi', 'long.avi', '--out', 'clips2', '--min-frames', 6) == 1
    assert capsys.readouterr().out.splitlines() == [
        '000: frames 0 to 8 of long.avi',
        'short.avi is left out: the longest of its 2 shots has 5 frames, less than the 6 of --min-frames.',
        '3 of 12 frames of long.avi are in no clip: what is left of a shot is below 6 frames.',
        'Frames of long.avi are cut from 50x66 to 48x64 pixels (--multiple 4).',
        'With val_partition: REDS4, the REDS sets of BasicSR do not train on 000.',
    ]
    assert len(list((clips / 'clips2' / '000').iterdir())) == 9


def test_how_many_frames_are_cut_is_told(clips, capsys):
    write_video(clips / 'odd.avi', [5], (50, 66))
    assert call('degrade', 'odd.avi', 'x', '--kind', 'bi', '--with-gt') == 0
    assert '5 of 5 frames were cut from 50x66 to 48x64 pixels, for the scale.' in capsys.readouterr().out


def test_frames_are_degraded(clips, capsys):
    assert call('degrade', 'GT', 'BDx4', '--kind', 'bd') == 0
    assert capsys.readouterr().out == 'BDx4: 6 frames\n'
    assert call('check', 'clips', '--gt', 'GT', '--lq', 'BDx4') == 0


@pytest.mark.parametrize(
    'words, expected',
    [
        ([], 'basicsr data: ACTION is missing; see basicsr data --help.'),
        (['check', 'vid5', '--gt', 'GT'], "basicsr: the layout 'vid5' is not known; name one of reds, reds4,"),
        (['check', 'clips', '--gt', 'no'], 'basicsr: the folder no does not exist; correct its path.'),
        (
            ['check', 'clips', '--gt', 'GT', '--scale', '0'],
            'basicsr data check: argument --scale: 0 is no whole number',
        ),
        (
            ['check', 'clips', '--gt', 'GT', '--scale', 'x'],
            'basicsr data check: argument --scale: x is no whole number',
        ),
        (['lmdb', 'create', 'GT', 'out'], 'basicsr: out does not end in .lmdb;'),
        (['lmdb', 'verify', 'GT'], 'basicsr: GT has no data.mdb, so it is no LMDB;'),
        (['meta', 'no', 'out.txt'], 'basicsr: the folder no does not exist'),
        (
            ['meta', 'GT', 'no/out.txt'],
            'basicsr: no/out.txt cannot be written, since there is no folder no; make it first.',
        ),
        *[
            (
                ['from-video', 'no.mp4', '--out', 'x', '--threshold', number],
                f'basicsr data from-video: argument --threshold: {number} is no number above 0',
            )
            for number in ('nan', '0', 'x')
        ],
        (['from-video', 'no.mp4', '--out', 'x'], 'basicsr: no.mp4 is missing or not a video'),
        (
            ['degrade', 'GT', 'x', '--kind', 'blur'],
            "basicsr: --kind is 'blur'; take one of bi, bd, bd-duf, real.",
        ),
    ],
)
def test_a_mistake_ends_in_one_sentence(clips, capsys, words, expected):
    assert call(*words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(expected)
    assert sorted(path.name for path in clips.iterdir()) == ['GT', 'LQ']


# Slow enough to be stopped; a shell that starts tests in the background has them ignore Ctrl+C.
MAKE_SLOWLY = """
import signal, time
from gsm_plugin.cli.main import main
from gsm_plugin.data.tools import lmdb_making
signal.signal(signal.SIGINT, signal.default_int_handler)
encode = lmdb_making._encode_file
lmdb_making._encode_file = lambda path: (time.sleep(0.1), encode(path))[1]
main(['data', 'lmdb', 'create', 'GT', 'out.lmdb', '--workers', '1'])
"""


@pytest.mark.skipif(os.name != 'posix', reason='sends a signal')
def test_ctrl_c_ends_in_a_word_and_leaves_nothing_that_looks_finished(clips):
    write_pair(clips, {'c': reds_names(200)})
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    words = [sys.executable, '-c', MAKE_SLOWLY]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (clips / 'out.lmdb.part/lock.mdb').exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    # behind a bar, if that was just being drawn
    assert said.splitlines()[-1].endswith('basicsr: stopped.')
    assert not (clips / 'out.lmdb').exists()
    assert not (clips / 'out.lmdb.part/meta_info.txt').exists()
