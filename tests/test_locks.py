import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gsm_plugin import locks
from gsm_plugin.errors import UserError
from gsm_plugin.files import part_of, resumed_folder, whole_or_nothing
from gsm_plugin.locks import lock_of, locked, refuse_locked

ROOT = Path(__file__).parents[1]
# Locks an output, says so, forks where it is asked to, and waits to be killed.
HOLD = """
import os, sys
from pathlib import Path
from gsm_plugin.locks import locked

with locked(Path(sys.argv[1])):
    if sys.argv[2] == 'forks' and os.fork() == 0:
        sys.stdin.read()
    print('held', flush=True)
    sys.stdin.read()
"""


def holder(out, how='alone'):
    """A process that has locked an output."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(out), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == b'held\n'
    return process


def test_whoever_comes_second_is_told_who_was_first(tmp_path):
    out = tmp_path / 'out.mp4'
    with locked(out):
        host = socket.gethostname()
        sentence = rf'out\.mp4 is being written by process {os.getpid()} on {host} since \d+-\d+-\d+ .*; wait until'
        for second in (locked(out).__enter__, lambda: refuse_locked(out)):
            with pytest.raises(UserError, match=sentence):
                second()
        # other outputs are free
        with locked(tmp_path / 'other.mp4'):
            pass
    refuse_locked(out)
    with locked(out):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('how', ['alone', 'forks'])
def test_a_lock_ends_with_its_process_also_where_that_is_killed(tmp_path, how):
    out = tmp_path / 'out.mp4'
    process = holder(out, how)
    with pytest.raises(UserError, match=f'process {process.pid} on'):
        refuse_locked(out)
    # what it has forked lives on until its standard input ends, and holds nothing
    process.send_signal(signal.SIGKILL)
    process.wait()
    # the number of a process that lives says nothing: in another container it is another process
    told = json.loads(lock_of(out).read_text())
    lock_of(out).write_text(json.dumps({**told, 'pid': os.getpid()}))
    refuse_locked(out)
    with locked(out):
        assert json.loads(lock_of(out).read_text())['pid'] == os.getpid()
    assert list(tmp_path.iterdir()) == []
    process.stdin.close()
    process.stdout.close()


def test_a_file_that_its_holder_has_just_removed_is_no_lock(tmp_path, monkeypatch):
    out, lock = tmp_path / 'out', locks._lock

    def removed_meanwhile(handle, path, place):
        monkeypatch.setattr(locks, '_lock', lock)
        lock(handle, path, place)
        path.unlink()

    monkeypatch.setattr(locks, '_lock', removed_meanwhile)
    with locked(out), pytest.raises(UserError, match='is being written'):
        refuse_locked(out)


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(locks.fcntl, 'flock', refuse)
    with locked(tmp_path / 'out'):
        pass
    assert 'out cannot be locked (No locks available), so see to it yourself' in caplog.text


def resumed(out):
    return resumed_folder(out, b'work')


@pytest.mark.parametrize('build', [whole_or_nothing, resumed])
def test_what_one_process_builds_another_one_neither_removes_nor_mixes_with(tmp_path, build):
    out = tmp_path / 'new' / 'out'
    with build(out) as part:
        (part / 'a').write_text('mine')
        with pytest.raises(UserError, match='is being written by process'):
            build(out).__enter__()
        assert (part / 'a').read_text() == 'mine'
    assert (out / 'a').read_text() == 'mine'
    assert [path.name for path in out.parent.iterdir()] == ['out']
    with pytest.raises(UserError, match='exists'):
        build(out).__enter__()


def test_a_folder_that_was_begun_goes_on_with_the_same_work_alone(tmp_path):
    out = tmp_path / 'out'
    for record, expected in ((b'work', []), (b'work', ['a']), (b'other', [])):
        with pytest.raises(KeyboardInterrupt), resumed_folder(out, record) as part:
            assert [path.name for path in part.glob('a')] == expected
            (part / 'a').touch()
            raise KeyboardInterrupt
    assert part_of(out).is_dir()
    with resumed_folder(out, b'other'):
        pass
    assert [path.name for path in out.iterdir()] == ['a']
