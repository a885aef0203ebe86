import copy
import itertools

import pytest
import torch
from torch.nn import functional as F

import gsm_plugin  # noqa: F401  (makes basicsr importable)

# isort: split
from basicsr.archs.spynet_arch import SpyNet as SpyNetOfBasicSR

from gsm_plugin.archs import flow_estimation
from gsm_plugin.archs.flow_estimation import build_spynet, estimate_flows, in_float16
from gsm_plugin.ops import tf32


@pytest.fixture
def spynet():
    torch.manual_seed(0)
    network = build_spynet()
    for module in network.basic_module:
        # flows of some pixels
        module.basic_module[-1].weight.data *= 20
    return network


@pytest.fixture
def clip():
    return torch.rand(1, 3, 3, 36, 40)


@pytest.mark.parametrize('size', [(36, 40), (64, 96)])
def test_flows_are_those_of_basicsr_with_and_without_gradients(spynet, size):
    clip = torch.rand(1, 3, 3, *size)
    first, second = clip[0, :-1], clip[0, 1:]
    reference = SpyNetOfBasicSR()
    reference.load_state_dict(spynet.state_dict(), strict=True)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            backward, forward = estimate_flows(spynet, clip)
            for flow, pair in ((backward, (first, second)), (forward, (second, first))):
                expected = reference(*pair)
                assert expected.abs().max() > 1
                torch.testing.assert_close(flow[0], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_hidden_layers_in_float16_change_flows_by_its_rounding_alone(spynet, clip, monkeypatch):
    expected = torch.stack(estimate_flows(spynet, clip))
    monkeypatch.setattr(flow_estimation, 'in_float16', lambda clip: True)
    actual = torch.stack(estimate_flows(spynet, clip))
    assert actual.dtype == torch.float32
    assert expected.abs().max() > 1
    error = (actual - expected).norm() / expected.norm()
    assert 0 < error < 2e-3


@torch.no_grad()
def test_flows_stay_finite_where_hidden_layers_leave_the_range_of_float16(spynet, clip, monkeypatch):
    for module in spynet.basic_module:
        module.basic_module[2].weight.data *= 1e6
        module.basic_module[4].weight.data *= 1e-6
    monkeypatch.setattr(flow_estimation, 'in_float16', lambda clip: True)
    assert all(flow.isfinite().all() for flow in estimate_flows(spynet, clip))


@pytest.mark.parametrize('gradients', [True, False])
def test_training_convolves_without_tf32(spynet, clip, monkeypatch, gradients):
    seen, original = set(), F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *a, **k: seen.add(tf32.convolutions.is_on()) or original(*a, **k))
    for on in (True, False):
        seen.clear()
        with torch.set_grad_enabled(gradients), tf32.convolutions.turned(on):
            estimate_flows(spynet, clip)
            assert tf32.convolutions.is_on() == on
        assert seen == {on and not gradients}


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_flows_in_training_are_as_exact_as_float32(spynet, clip):
    expected = torch.stack(estimate_flows(copy.deepcopy(spynet).double(), clip.double()))
    spynet, clip = spynet.cuda(), clip.cuda()
    errors = {}
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), tf32.convolutions.turned(True):
            flows = torch.stack(estimate_flows(spynet, clip)).detach().cpu()
        errors[gradients] = (flows - expected).norm() / expected.norm()
    assert errors[True] < 3e-6 < errors[False]


def test_the_cpu_and_training_keep_float32(clip):
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert not in_float16(clip)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_inference_under_autocast_takes_float16_where_tf32_is_allowed(clip):
    clip = clip.cuda()
    for gradients, autocast, on in itertools.product((False, True), repeat=3):
        flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=on)
        with torch.set_grad_enabled(gradients), torch.autocast('cuda', torch.bfloat16, enabled=autocast), flags:
            assert in_float16(clip) == (not gradients and autocast and on)


def test_random_weights_are_those_of_basicsr():
    torch.manual_seed(3)
    actual = build_spynet().state_dict()
    torch.manual_seed(3)
    expected = SpyNetOfBasicSR().state_dict()
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
