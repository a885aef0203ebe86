import logging

import pytest

from gsm_plugin.ops import describe_backends, dispatch
from gsm_plugin.ops.dispatch import Backend, choose_backend, declare


@pytest.fixture(autouse=True)
def op(monkeypatch):
    monkeypatch.setattr(dispatch, '_OPS', {})
    dispatch._choose_automatically.cache_clear()
    only_gpu = Backend('fast', max, lambda device: None if device == 'cuda' else 'it needs a GPU', 'kernels')
    declare('op', (only_gpu, Backend('torch', min, dispatch.anywhere, 'plain operators')))
    yield
    dispatch._choose_automatically.cache_clear()


def test_auto_takes_the_first_that_runs():
    assert choose_backend('op', 'auto', 'cuda').name == 'fast'
    assert choose_backend('op', 'auto', 'cpu').name == 'torch'


def test_auto_says_once_which_and_why(caplog):
    with caplog.at_level(logging.DEBUG, 'basicsr.gsm_plugin'):
        choose_backend('op', 'auto', 'cpu')
        choose_backend('op', 'auto', 'cpu')
    assert [record.getMessage() for record in caplog.records] == [
        'op on cpu: backend torch (not fast: it needs a GPU; plain operators).'
    ]


def test_what_auto_takes_as_expected_is_no_news_beside_the_summary(caplog):
    with caplog.at_level(logging.INFO, 'basicsr.gsm_plugin'):
        choose_backend('op', 'auto', 'cpu')
    assert caplog.records == []
    assert dispatch.summarize_backends('cpu') == 'Backends on cpu: torch for 1 ops.'
    declare('other', [Backend('fast', len, dispatch.anywhere, 'made up')])
    declare('third', [Backend('torch', len, dispatch.anywhere, 'made up')])
    assert dispatch.summarize_backends('cpu') == 'Backends on cpu: fast for other; torch for 2 ops.'


def test_a_named_backend_is_taken_or_refused_with_the_reason():
    assert choose_backend('op', 'torch', 'cuda').name == 'torch'
    with pytest.raises(RuntimeError, match="'fast' of op cannot run here: it needs a GPU; set auto"):
        choose_backend('op', 'fast', 'cpu')


def test_a_call_that_tritons_kernels_do_not_cover_is_left_to_the_next_and_says_so(caplog):
    declare('op', (Backend('triton', max, dispatch.anywhere, 'kernels'), *dispatch._OPS['op'][1:]))
    assert choose_backend('op', 'auto', 'cpu').name == 'triton'
    caplog.clear()
    with caplog.at_level(logging.INFO, 'basicsr.gsm_plugin'):
        assert choose_backend('op', 'auto', 'cpu', not_triton='it is too wide').name == 'torch'
    assert caplog.messages == ['op on cpu: backend torch (not triton: it is too wide; plain operators).']
    assert choose_backend('op', 'torch', 'cpu', not_triton='it is too wide').name == 'torch'
    with pytest.raises(RuntimeError, match="'triton' of op cannot run here: it is too wide; set auto"):
        choose_backend('op', 'triton', 'cpu', not_triton='it is too wide')


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="op has no backend 'cuda'; set one of auto, fast, torch"):
        choose_backend('op', 'cuda', 'cpu')


def test_description_tells_every_op():
    assert describe_backends('cpu') == [('op', 'torch', 'not fast: it needs a GPU; plain operators')]


def test_nothing_that_runs_is_an_error():
    declare('lonely', (Backend('fast', max, lambda device: 'it needs a GPU', ''),))
    with pytest.raises(RuntimeError, match='lonely has no backend for cpu: not fast: it needs a GPU'):
        choose_backend('lonely', 'auto', 'cpu')
