import multiprocessing
import threading

import pytest

from gsm_plugin.ops._common import threads as sharing
from gsm_plugin.ops._common.threads import share


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch):
    monkeypatch.setattr(sharing.torch, 'get_num_threads', lambda: 2)


def names_of_two_that_meet():
    """Names of the threads that make two calls, each of which waits for the other."""
    seen, both = [], threading.Barrier(2, timeout=20)

    def call():
        seen.append(threading.current_thread().name)
        both.wait()

    share([call, call], 2**30)
    return seen


def test_much_work_is_shared_by_threads_of_which_this_is_one():
    names = names_of_two_that_meet()
    assert threading.current_thread().name in names
    assert len(set(names)) == 2


def test_the_same_threads_help_again(monkeypatch):
    # others may have made more of them
    monkeypatch.setattr(sharing, '_helpers', sharing._Helpers())
    assert set(names_of_two_that_meet()) == set(names_of_two_that_meet())


def test_every_call_is_made_once():
    made = []
    for _ in range(50):
        share((lambda number=number: made.append(number) for number in range(20)), 2**30)
    assert sorted(made) == sorted(list(range(20)) * 50)


def test_threads_do_not_help_with_little_work():
    names = []
    share((lambda: names.append(threading.current_thread().name) for _ in range(20)), 2**20)
    assert names == [threading.current_thread().name] * 20


def test_an_error_of_a_shared_call_is_raised():
    done = []

    def fail():
        raise ValueError('as it should')

    with pytest.raises(ValueError, match='as it should'):
        share([fail, *[lambda: done.append(1)] * 5], 2**30)
    assert len(done) <= 5


@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='processes are not forked here')
def test_a_forked_process_has_threads_of_its_own():
    names_of_two_that_meet()
    process = multiprocessing.get_context('fork').Process(target=names_of_two_that_meet)
    process.start()
    process.join(60)
    assert process.exitcode == 0
