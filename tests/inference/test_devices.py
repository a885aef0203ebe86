"""Which precisions a device computes in, and which is the fastest there."""

import torch

from gsm_plugin.inference.devices import choose_precision, why_not

CPU, GPU = torch.device('cpu'), torch.device('cuda')


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
