"""What a precision stands for, how it is set, and that a program's own autocast is told from it."""

import dataclasses
import threading

import pytest
import torch

from gsm_plugin.errors import UserError
from gsm_plugin.inference.choices import PRECISIONS
from gsm_plugin.layers.precision import (
    HALF,
    POLICIES,
    Work,
    inference_policy,
    is_plain,
    plainly,
    policy_for,
    precision_of_products,
    state_of_precision,
    training_policy,
)
from gsm_plugin.switches import tf32

CPU, GPU = torch.device('cpu'), torch.device('cuda')
AUTOCAST = None, *HALF.values()


def test_there_is_a_frozen_policy_for_each_use_and_precision():
    assert set(POLICIES) == {(use, precision) for use in ('training', 'inference') for precision in PRECISIONS}
    with pytest.raises(dataclasses.FrozenInstanceError):
        POLICIES['training', 'bf16'].autocast = None
    with pytest.raises(TypeError):
        POLICIES['training', 'bf16'] = POLICIES['training', 'fp32']


def test_half_precision_is_autocast_and_float32_is_none_whatever_the_caller_is_under():
    a = torch.rand(2, 2)
    with policy_for('inference', 'bf16').running(CPU):
        assert (a @ a).dtype == torch.bfloat16
        with policy_for('inference', 'fp32').running(CPU):
            assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize('before', [True, False])
def test_tf32_is_on_and_fp32_is_without_it(before):
    with tf32.products.turned(before), tf32.convolutions.turned(before):
        for precision, expected in (('tf32', True), ('fp32', False), ('bf16', before), ('fp16', before)):
            policy = policy_for('inference', precision)
            assert policy.multiplies_by_tf32(GPU) == expected
            with policy.multiplying_float32(GPU):
                assert (tf32.products.is_on(), tf32.convolutions.is_on()) == (expected, expected)
            assert (tf32.products.is_on(), tf32.convolutions.is_on()) == (before, before)
        assert not policy_for('inference', 'tf32').multiplies_by_tf32(CPU)


@pytest.mark.parametrize('autocast', AUTOCAST)
@pytest.mark.parametrize('dtype', AUTOCAST)
@pytest.mark.parametrize('on', [None, True, False])
def test_work_is_done_in_its_type_and_by_its_switches_and_leaves_the_rest_as_it_is(autocast, dtype, on):
    x = torch.rand(2)
    with torch.autocast('cpu', autocast, enabled=autocast is not None):
        before = state_of_precision(x)
        with Work(dtype, products=on).on(x):
            assert precision_of_products(x) == (dtype or autocast or torch.float32)
            assert tf32.products.is_on() == (before[1] if on is None else on)
            assert tf32.convolutions.is_on() == before[2]
        with Work(dtype, convolutions=on).on(x):
            assert tf32.convolutions.is_on() == (before[2] if on is None else on)
        assert state_of_precision(x) == before


@pytest.mark.parametrize('autocast', AUTOCAST)
def test_work_in_float32_is_without_autocast_and_keeps_float64(autocast):
    x = torch.rand(2, 2, dtype=torch.float64)
    with torch.autocast('cpu', autocast, enabled=autocast is not None), Work(torch.float32).on(x):
        assert (x @ x).dtype == torch.float64


def test_a_cache_of_weights_in_another_type_is_not_read():
    weight, x = torch.rand(3, 3, requires_grad=True), torch.rand(1, 3)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.nn.functional.linear(x, weight).dtype == torch.bfloat16
        with Work(torch.float16).on(x):
            assert torch.nn.functional.linear(x, weight).dtype == torch.float16
        assert torch.nn.functional.linear(x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize('plain', [False, True])
def test_the_policy_here_is_that_of_the_autocast_that_is_on(plain):
    x = torch.rand(2)
    for precision, dtype in HALF.items():
        with plainly(plain), torch.autocast('cpu', dtype):
            assert training_policy(x) == policy_for('training', precision, plain)
            assert inference_policy(x) == policy_for('inference', precision, plain)
    with plainly(plain):
        for on in (False, True):
            with tf32.products.turned(on):
                assert training_policy(x) == policy_for('training', 'tf32' if on else 'fp32')


def test_plain_autocast_is_of_a_thread_and_ends_with_its_policy():
    seen = []
    with policy_for('training', 'bf16', plain_autocast=True).autocasting(CPU):
        assert is_plain()
        other = threading.Thread(target=lambda: seen.append(is_plain()))
        other.start()
        other.join()
        with policy_for('training', 'bf16').autocasting(CPU):
            assert not is_plain()
        assert is_plain()
    assert not is_plain()
    assert seen == [False]


@pytest.mark.parametrize('precision', ['fp32', 'tf32'])
def test_plain_autocast_without_one_is_a_mistake(precision):
    with pytest.raises(UserError, match=f'plain_autocast is true, but precision is {precision}, .* bf16 or fp16'):
        policy_for('training', precision, plain_autocast=True)
