import logging
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from gsm_plugin.ops import describe_backends, dispatch
from gsm_plugin.ops.dispatch import Backend, choose_backend, compute, declare


def needs_gpu(device):
    return None if device.type == 'cuda' else 'it needs a GPU'


def narrow(x):
    return None if x.shape[-1] < 8 else f'it takes up to 7 channels, there are {x.shape[-1]}'


KERNELS = Backend('triton', 'kernels', covers=narrow, function=torch.square)
PLAIN = Backend('torch', 'plain operators', function=torch.abs)


@pytest.fixture(autouse=True)
def op(monkeypatch):
    monkeypatch.setattr(dispatch, '_OPS', {})
    monkeypatch.setattr(dispatch, '_told', set())
    declare(
        'op', Backend('fast', 'kernels', needs_gpu, function=max), Backend('torch', 'plain operators', function=min)
    )


def test_auto_takes_the_first_that_runs():
    assert choose_backend('op', 'auto', 'cuda').name == 'fast'
    assert choose_backend('op', 'auto', torch.device('cpu')).name == 'torch'


def test_auto_says_once_which_and_why(caplog):
    with caplog.at_level(logging.DEBUG, 'basicsr.gsm_plugin'):
        choose_backend('op', 'auto', 'cpu')
        choose_backend('op', 'auto', 'cpu')
    assert caplog.messages == ['op on cpu: backend torch (not fast: it needs a GPU; plain operators).']


def test_what_auto_takes_as_expected_is_no_news_beside_the_summary(caplog):
    with caplog.at_level(logging.INFO, 'basicsr.gsm_plugin'):
        choose_backend('op', 'auto', 'cpu')
    assert caplog.records == []
    assert dispatch.summarize_backends('cpu') == 'Backends on cpu: torch for 1 ops.'
    declare('other', Backend('fast', 'made up', function=len))
    declare('third', Backend('torch', 'made up', function=len))
    assert dispatch.summarize_backends('cpu') == 'Backends on cpu: fast for other; torch for 2 ops.'


def test_a_named_backend_is_taken_or_refused_with_the_reason():
    assert choose_backend('op', 'torch', 'cuda').name == 'torch'
    with pytest.raises(RuntimeError, match="'fast' of op cannot run here: it needs a GPU; set auto"):
        choose_backend('op', 'fast', 'cpu')


def test_a_call_that_a_backend_does_not_cover_is_left_to_the_next_and_says_so_once(caplog):
    declare('op', KERNELS, PLAIN)
    assert compute('op', 'auto', torch.full((7,), -3.0), (torch.full((7,), -3.0),))[0] == 9
    wide = torch.full((9,), -3.0)
    with caplog.at_level(logging.INFO, 'basicsr.gsm_plugin'):
        for _ in range(2):
            assert compute('op', 'auto', wide, (wide,))[0] == 3
    reason = 'it takes up to 7 channels, there are 9'
    assert caplog.messages == [f'op on cpu: backend torch (not triton: {reason}; plain operators).']
    assert compute('op', 'torch', wide, (wide,))[0] == 3
    with pytest.raises(RuntimeError, match=f"'triton' of op cannot run here: {reason}; set auto"):
        compute('op', 'triton', wide, (wide,))


def test_a_type_that_a_backend_does_not_compute_is_left_to_the_next():
    declare('op', Backend('triton', 'kernels', types=(torch.float16,), function=torch.square), PLAIN)
    x = torch.full((2,), -3.0)
    assert compute('op', 'auto', x, (x,))[0] == 3
    assert compute('op', 'auto', x, (x,), torch.float16)[0] == 9
    with pytest.raises(RuntimeError, match='it does not compute in float32'):
        compute('op', 'triton', x, (x,))


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="op has no backend 'cuda'; set one of auto, fast, torch"):
        choose_backend('op', 'cuda', 'cpu')


def test_description_tells_every_op():
    assert describe_backends('cpu') == [('op', 'torch', 'not fast: it needs a GPU; plain operators')]


def test_nothing_that_runs_is_an_error():
    declare('lonely', Backend('fast', '', needs_gpu, function=max))
    with pytest.raises(RuntimeError, match='lonely has no backend for cpu: not fast: it needs a GPU'):
        choose_backend('lonely', 'auto', 'cpu')


def test_kernels_are_launched_on_the_gpu_that_has_the_tensors(monkeypatch):
    entered = []
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 0)
    monkeypatch.setattr(torch.cuda, 'device', lambda device: entered.append(device) or nullcontext())
    declare('launched', Backend('only', 'kernels', function=lambda: len(entered)))
    for index, guards in ((0, 0), (1, 1)):
        like = SimpleNamespace(is_cuda=True, device=torch.device('cuda', index), dtype=torch.float32)
        assert compute('launched', 'only', like, ()) == guards
    assert entered == [torch.device('cuda:1')]
