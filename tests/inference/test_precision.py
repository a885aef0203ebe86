"""What a precision stands for, on which device."""

import pytest
import torch

from gsm_plugin.inference.precision import choose_precision, multiplies_by_tf32, running_in, why_not
from gsm_plugin.switches import tf32

CPU, GPU = torch.device('cpu'), torch.device('cuda')


def test_half_precision_is_autocast_and_float32_is_none_whatever_the_caller_is_under():
    a = torch.rand(2, 2)
    with running_in('bf16', CPU):
        assert (a @ a).dtype == torch.bfloat16
        with running_in('fp32', CPU):
            assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize('before', [True, False])
def test_tf32_is_on_and_fp32_is_without_it(before):
    with tf32.products.turned(before), tf32.convolutions.turned(before):
        for precision, expected in (('tf32', True), ('fp32', False), ('bf16', before), ('fp16', before)):
            assert multiplies_by_tf32(precision, GPU) == expected
            assert (tf32.products.is_on(), tf32.convolutions.is_on()) == (before, before)
        assert not multiplies_by_tf32('tf32', CPU)


def test_a_gpu_without_the_units_is_told_and_the_fastest_is_what_it_has(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda _: 'Card')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda _: (7, 5))
    assert why_not('bf16', GPU) == why_not('tf32', GPU) == 'Card has no units for it'
    assert why_not('fp16', GPU) is None
    assert choose_precision('auto', GPU)[0] == 'fp16'
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda _: (9, 0))
    assert choose_precision('auto', GPU)[0] == 'bf16'
    assert choose_precision('tf32', GPU) == ('tf32', 'as asked')
    assert choose_precision('auto', CPU)[0] == 'fp32'
