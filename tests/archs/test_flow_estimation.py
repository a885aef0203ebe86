import copy
from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional as F

import gsm_plugin  # noqa: F401  (makes basicsr importable)

# isort: split
from basicsr.archs.spynet_arch import SpyNet as SpyNetOfBasicSR
from safetensors.torch import load_file

from gsm_plugin.archs import flow_estimation
from gsm_plugin.archs.flow_estimation import build_spynet
from gsm_plugin.fast import flow_estimation as fast
from gsm_plugin.layers import flow_pyramid
from gsm_plugin.layers.precision import HALF, inference_policy, policy_for
from gsm_plugin.switches import tf32
from gsm_plugin.weights.known_files import SHIPPED


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
    for module in (flow_estimation, fast):
        with torch.set_grad_enabled(module is flow_estimation):
            backward, forward = module.estimate_flows(spynet, clip)
            for flow, pair in ((backward, (first, second)), (forward, (second, first))):
                expected = reference(*pair)
                assert expected.abs().max() > 1
                torch.testing.assert_close(flow[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('size', [(20, 24), (9, 70)])
def test_of_frames_that_are_enlarged_the_finest_flow_is_computed_as_far_as_it_is_seen(spynet, monkeypatch, size):
    clip, results = torch.rand(1, 2, 3, *size), []
    for reach in (flow_pyramid._REACH, 64):
        monkeypatch.setattr(flow_pyramid, '_REACH', reach)
        flows = torch.stack(flow_estimation.estimate_flows(spynet, clip))
        gradients = torch.autograd.grad(flows.square().sum(), list(spynet.basic_module[-1].parameters()))
        results.append((flows, *gradients))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-4)
    assert results[0][0].shape[-2:] == size


def test_a_name_of_weights_that_come_along_gives_their_flow_network():
    weights = load_file(SHIPPED / 'gsm_small_x4.safetensors')
    for name, value in build_spynet('gsm-small-x4').named_parameters():
        assert torch.equal(value, weights[f'spynet.{name}'].float())


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Lets the CPU go the way of a GPU that may convolve by TF32."""

    @contextmanager
    def going():
        with monkeypatch.context() as patch, tf32.convolutions.turned(True):
            patch.setattr(torch.Tensor, 'is_cuda', True)
            yield

    return going


@torch.no_grad()
@pytest.mark.parametrize('precision', HALF)
def test_hidden_layers_in_float16_change_flows_by_its_rounding_alone(spynet, clip, as_on_a_gpu, precision):
    clip = clip[:, :2]
    expected = torch.stack(fast.estimate_flows(spynet, clip))
    with as_on_a_gpu(), policy_for('inference', precision).autocasting(clip.device):
        actual = torch.stack(fast.estimate_flows(spynet, clip))
    assert actual.dtype == torch.float32
    assert expected.abs().max() > 1
    error = (actual - expected).norm() / expected.norm()
    assert 0 < error < 2e-3


@torch.no_grad()
def test_flows_stay_finite_where_hidden_layers_leave_the_range_of_float16(spynet, clip, as_on_a_gpu):
    clip = clip[:, :2]
    for module in spynet.basic_module:
        module.basic_module[2].weight.data *= 1e6
        module.basic_module[4].weight.data *= 1e-6
    with as_on_a_gpu(), policy_for('inference', 'bf16').autocasting(clip.device):
        assert all(flow.isfinite().all() for flow in fast.estimate_flows(spynet, clip))


@pytest.mark.parametrize('module', [flow_estimation, fast])
def test_training_convolves_without_tf32(spynet, clip, monkeypatch, module):
    seen, original = set(), F.conv2d
    monkeypatch.setattr(F, 'conv2d', lambda *a, **k: seen.add(tf32.convolutions.is_on()) or original(*a, **k))
    for on in (True, False):
        seen.clear()
        with torch.set_grad_enabled(module is flow_estimation), tf32.convolutions.turned(on):
            module.estimate_flows(spynet, clip)
            assert tf32.convolutions.is_on() == on
        assert seen == {on and module is fast}


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_flows_in_training_are_as_exact_as_float32(spynet, clip):
    expected = torch.stack(flow_estimation.estimate_flows(copy.deepcopy(spynet).double(), clip.double()))
    spynet, clip = spynet.cuda(), clip.cuda()
    errors = {}
    for module in (flow_estimation, fast):
        with torch.set_grad_enabled(module is flow_estimation), tf32.convolutions.turned(True):
            flows = torch.stack(module.estimate_flows(spynet, clip)).detach().cpu()
        errors[module] = (flows - expected).norm() / expected.norm()
    assert errors[flow_estimation] < 3e-6 < errors[fast]


def _takes_half(clip):
    return inference_policy(clip).flow_hidden.applies_to(clip)


def test_the_cpu_keeps_float32(clip):
    with torch.autocast('cpu', torch.bfloat16):
        assert not _takes_half(clip)


@pytest.mark.parametrize('autocast', [False, True])
@pytest.mark.parametrize('on', [False, True])
def test_a_gpu_takes_float16_in_inference_under_autocast_where_tf32_is_allowed(clip, monkeypatch, autocast, on):
    monkeypatch.setattr(torch.Tensor, 'is_cuda', True)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast), tf32.convolutions.turned(on):
        assert _takes_half(clip) == (autocast and on)


def test_random_weights_are_those_of_basicsr():
    torch.manual_seed(3)
    actual = build_spynet().state_dict()
    torch.manual_seed(3)
    expected = SpyNetOfBasicSR().state_dict()
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
