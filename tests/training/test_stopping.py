import os
import signal
import threading

import pytest
import torch

from gsm_plugin.training.stopping import StopReason, StopRequests, StopTraining

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    'number, reason',
    [
        (signal.SIGTERM, StopReason.TERMINATED),
        (signal.SIGUSR1, StopReason.TERMINATED),
        (signal.SIGINT, StopReason.INTERRUPTED),
    ],
)
def test_a_signal_is_a_request(number, reason):
    with StopRequests() as stop:
        assert stop.agreed_reason(CPU) is None
        os.kill(os.getpid(), number)
        assert stop.agreed_reason(CPU) is reason


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_ctrl_c_stops_at_once():
    with StopRequests():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_time_limit_is_a_request():
    assert StopRequests(max_hours=1e-30).reason() is StopReason.TIME
    assert StopRequests(max_hours=1).reason() is None


def test_a_signal_counts_more_than_the_time_limit():
    with StopRequests(max_hours=1e-30) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() is StopReason.TERMINATED


def test_long_work_is_broken_off_now_or_before_it_begins():
    with StopRequests() as stop:
        with pytest.raises(StopTraining), stop.breaking_off():
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail('not broken off')
        with pytest.raises(StopTraining), stop.breaking_off():
            pytest.fail('begun')


def test_other_threads_have_no_handlers():
    entered = []

    def enter():
        with StopRequests():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
