from types import SimpleNamespace

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.compat import repeatable_flow_warp
from gsm_plugin.compat.repeatable_flow_warp import patch, warp_by_index


@pytest.mark.parametrize('padding_mode', ['zeros', 'border'])
@pytest.mark.parametrize('size', [(7, 9), (2, 2)])
def test_it_is_basicsrs_warp_with_its_gradients(padding_mode, size):
    from basicsr.archs.arch_util import flow_warp

    noise = torch.Generator().manual_seed(0)
    inputs = torch.rand(2, 3, *size, generator=noise), 3 * torch.randn(2, *size, 2, generator=noise)
    weight = torch.rand(2, 3, *size, generator=noise)
    results = []
    for warp, arguments in ((warp_by_index, (padding_mode,)), (flow_warp, ('bilinear', padding_mode))):
        x, flow = (value.clone().requires_grad_() for value in inputs)
        output = warp(x, flow, *arguments)
        (output * weight).sum().backward()
        results.append((output.detach(), x.grad, flow.grad))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('is_cuda, asked, taken', [(True, True, 'index'), (True, False, 'grid'), (False, True, 'grid')])
def test_it_is_taken_where_it_is_needed(monkeypatch, is_cuda, asked, taken):
    module = SimpleNamespace(flow_warp=lambda *_: 'grid')
    patch(module)
    monkeypatch.setattr(repeatable_flow_warp, 'warp_by_index', lambda *_: 'index')
    monkeypatch.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: asked)
    assert module.flow_warp(SimpleNamespace(is_cuda=is_cuda), None) == taken


def test_networks_that_are_imported_later_have_it():
    import basicsr.archs.spynet_arch

    assert hasattr(basicsr.archs.spynet_arch.flow_warp, '__wrapped__')
