import threading

import pytest

from gsm_plugin.ops._common import threads as sharing
from gsm_plugin.ops._common.threads import share


@pytest.fixture
def names(monkeypatch):
    """Names of the threads that made 20 calls, of which there are about as many multiplications as is asked for."""
    monkeypatch.setattr(sharing.torch, 'get_num_threads', lambda: 2)

    def call(multiplications):
        seen = []
        share((lambda: seen.append(threading.current_thread().name) for _ in range(20)), multiplications)
        assert len(seen) == 20
        return set(seen)

    return call


def test_much_work_is_shared_by_threads(names):
    assert threading.current_thread().name not in names(2**30)


def test_threads_are_not_started_for_little_work(names):
    assert names(2**20) == {threading.current_thread().name}


def test_an_error_of_a_shared_call_is_raised(monkeypatch):
    monkeypatch.setattr(sharing.torch, 'get_num_threads', lambda: 2)
    done = []

    def fail():
        raise ValueError('as it should')

    with pytest.raises(ValueError, match='as it should'):
        share([fail, lambda: done.append(1)], 2**30)
    assert done == [1]
