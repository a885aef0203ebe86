import dataclasses
import functools
import json
import math
from copy import deepcopy

import numpy as np
import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.ops import dispatch
from tests.archs.tiny_gsm import clip, tiny
from tests.golden import CASES, DATA, TOLERANCE, expected, random_input, with_golden_weights


def assert_golden(actual, key):
    torch.testing.assert_close(actual, expected(key), atol=TOLERANCE, rtol=0)


def test_state_dict_is_that_of_the_released_network():
    net = GSMamba(upscale=4, prop_depth=4, attn_depth=4, pa_frame=2, embed_dims=192, num_heads=8)
    actual = {key: [list(value.shape), str(value.dtype)] for key, value in net.state_dict().items()}
    assert actual == json.loads((DATA / 'state_dict_reds_x4.json').read_text())


@functools.cache
def golden_network_and_output(case):
    """The network and what it gives in float64, which takes seconds."""
    net = with_golden_weights(GSMamba(**CASES[case]['kwargs']))
    with torch.no_grad():
        return net, net(random_input(case, tuple(CASES[case]['input_shape'])))


@pytest.mark.parametrize('case', ['net_k3', 'net_k5'])
def test_output_and_flows_are_golden(case):
    net, output = golden_network_and_output(case)
    with torch.no_grad():
        flows_backward, flows_forward = net.estimate_flows(random_input(case, tuple(CASES[case]['input_shape'])))
    assert_golden(flows_backward[..., ::3, ::3], f'{case}/flows_backward')
    assert_golden(flows_forward[..., ::3, ::3], f'{case}/flows_forward')
    assert_golden(output[..., ::7, ::7], f'{case}/output')


def test_gradients_are_golden():
    net = with_golden_weights(GSMamba(**CASES['net_k5']['kwargs']))
    x = random_input('net_k5', tuple(CASES['net_k5']['input_shape'])).requires_grad_()
    output = net(x)
    (output * random_input('net_k5/cotangent', tuple(output.shape), -1, 1)).mean().backward()
    assert_golden(x.grad[..., ::3, ::3], 'net_k5/grad_input')
    parameters = dict(net.named_parameters())
    with np.load(DATA / 'golden.npz') as values:
        keys = [key for key in values if key.startswith('net_k5/grad/')]
    assert len(keys) == 38
    for key in keys:
        assert_golden(parameters[key.removeprefix('net_k5/grad/')].grad.flatten()[:64], key)


@pytest.mark.parametrize('case', ['net_k3', 'net_k5'])
def test_float32_agrees_with_float64(case):
    net, exact = golden_network_and_output(case)
    x = random_input(case, tuple(CASES[case]['input_shape']))
    with torch.no_grad():
        single = deepcopy(net).float()(x.float()).double()
    psnr = -10 * torch.log10(((exact - single) ** 2).mean())
    assert psnr >= 80


def test_backends_agree():
    net = tiny().double()
    naive = tiny(scan_backend='naive', warp_backend='naive', attention_backend='naive').double()
    x = clip(1, 3, 3, 17, 13).double()
    torch.testing.assert_close(net(x), naive(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    'key, ops',
    [
        ('scan_backend', {'bidirectional_scan', 'selective_scan'}),
        ('warp_backend', {'implicit_warp', 'fraction_encoding', 'flow_warp'}),
        ('attention_backend', {'window_attention'}),
    ],
)
def test_each_backend_key_reaches_its_ops(monkeypatch, key, ops):
    taken = set()

    def record(op, backend):
        def runs_on(device):
            taken.add(op)
            return backend.runs_on(device)

        return dataclasses.replace(backend, runs_on=runs_on) if backend.name == 'naive' else backend

    recorded = {op: tuple(record(op, backend) for backend in backends) for op, backends in dispatch._OPS.items()}
    net = tiny(**{key: 'naive'})
    monkeypatch.setattr(dispatch, '_OPS', recorded)
    net(clip(1, 2, 3, 8, 8))
    assert taken == ops


@pytest.mark.parametrize(
    'shape', [(1, 1, 3, 1, 1), (1, 2, 3, 1, 7), (2, 3, 3, 17, 33), (1, 2, 3, 32, 5), (1, 9, 3, 8, 9), (1, 2, 3, 34, 70)]
)
def test_any_size_and_length_works(shape):
    output = tiny(pa_frame=2)(clip(*shape))
    assert output.shape == (*shape[:3], 2 * shape[3], 2 * shape[4])
    assert output.isfinite().all()


@pytest.mark.parametrize('upscale', [1, 2, 3, 4, 8])
def test_scales(upscale):
    x = clip(1, 2, 3, 9, 10)
    assert tiny(upscale=upscale)(x).shape == (1, 2, 3, 9 * upscale, 10 * upscale)


def test_clips_of_a_batch_do_not_see_each_other():
    net, x = tiny(), clip(2, 3, 3, 35, 36)
    torch.testing.assert_close(net(x)[1:], net(x[1:]), atol=1e-5, rtol=0)


def test_forward_anchor_and_anchor_scatter_change_the_network():
    x = clip(1, 4, 3, 33, 33)
    changes = {}, {'anchor': 'forward'}, {'scatter': 'anchor'}, {'pa_frame': 2}
    outputs = [with_golden_weights(tiny(**change)).float()(x) for change in changes]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 1e-2


def test_anchor_scatter_updates_the_anchor_alone():
    net = tiny(scatter='anchor', pa_frame=2)
    block = net.prop_layers[0].stage.mamba_block
    window, flow = clip(1, 5, 6, 7, 8), torch.zeros(1, 5, 2, 6, 7)
    updated = block(window, flow, flow, 2, net.implicit_align)
    changed = [(updated[:, i] != window[:, i]).any().item() for i in range(5)]
    assert changed == [False, False, True, False, False]


def test_ssm_init_reference_and_mamba():
    steps = {}
    for init in ('reference', 'mamba'):
        block = tiny(ssm_init=init, embed_dims=64).prop_layers[0].stage.mamba_block
        assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.1)
        steps[init] = torch.nn.functional.softplus(block.mamba.dt_proj.bias)
        assert torch.allclose(block.mamba.A_b_log.exp()[3], torch.arange(1.0, 17))
    assert torch.allclose(steps['reference'], torch.tensor(2.0).log())
    assert 0.0009 < steps['mamba'].min() < 0.01 < steps['mamba'].max() < 0.101


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'prop_depth': 3}, 'prop_depth is 3; set an even number'),
        ({'prop_depth': 0}, 'prop_depth is 0'),
        ({'embed_dims': 12, 'num_heads': 8}, 'embed_dims is 12 with num_heads 8; set a multiple'),
        ({'embed_dims': 6, 'num_heads': 2}, 'embed_dims is 6'),
        ({'num_heads': 0}, 'num_heads 0'),
        ({'in_chans': 1, 'out_chans': 1}, 'in_chans is 1 and out_chans 1; set both to 3'),
        ({'upscale': 5}, 'upscale is 5; set one of 1, 2, 3, 4, 8'),
        ({'anchor': 'centre'}, "anchor is 'centre'; set one of center, forward"),
        ({'scatter': 'none'}, "scatter is 'none'; set one of all, anchor"),
        ({'ssm_init': 'vim'}, "ssm_init is 'vim'; set one of reference, mamba"),
        ({'flow_composition': 'right'}, "flow_composition is 'right'; set one of reference, exact"),
        ({'scan_backend': 'cuda'}, "bidirectional_scan has no backend 'cuda'; set one of auto"),
        ({'warp_backend': 'cuda'}, "flow_warp has no backend 'cuda'"),
        ({'attention_backend': 'cuda'}, "window_attention has no backend 'cuda'"),
        ({'pa_frame': -1}, 'pa_frame -1; neither can be negative'),
    ],
)
def test_wrong_values_are_named_at_construction(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


@pytest.mark.parametrize('shape', [(3, 8, 8), (2, 3, 8, 8), (1, 2, 4, 8, 8), (1, 0, 3, 8, 8)])
def test_a_wrong_input_is_named(shape):
    with pytest.raises(ValueError, match=r'input of shape .*; give \(b, t, 3, h, w\)'):
        tiny()(torch.zeros(shape))


def test_spynet_loads_from_its_own_and_from_basicvsr_files(tmp_path):
    source = tiny(seed=1).spynet.state_dict()
    torch.save({'params': source}, tmp_path / 'spynet.pth')
    basicvsr = {f'spynet.{key}': value for key, value in source.items()} | {'conv_last.bias': torch.zeros(3)}
    torch.save({'params': basicvsr}, tmp_path / 'basicvsr.pth')
    for name in ('spynet.pth', 'basicvsr.pth'):
        net = tiny(spynet_path=str(tmp_path / name))
        for key, value in net.spynet.state_dict().items():
            assert torch.equal(value, source[key])


def test_a_wrong_spynet_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth does not exist'):
        tiny(spynet_path=tmp_path / 'nowhere.pth')
    torch.save({'params': {'conv.weight': torch.zeros(1)}}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth lacks basic_module.* of SPyNet'):
        tiny(spynet_path=tmp_path / 'other.pth')


def test_torch_compile_leaves_the_network_as_it_is():
    net, x = tiny().eval(), clip(1, 2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(torch.compile(net)(x), net(x))
    # fullgraph=True would raise it, and after that PyTorch takes more memory in all later calls of the process
    assert 'fused kernels' in GSMamba.forward._torchdynamo_disable_msg


@pytest.mark.parametrize('length', [1e3, 1e6, 1e24, math.inf, -math.inf, math.nan])
def test_flows_that_are_ruined_leave_outputs_and_gradients_finite(length):
    net, x = tiny(pa_frame=2), clip(1, 4, 3, 8, 9)
    flows = [2 * clip(1, 3, 2, 8, 9, seed=i) for i in (1, 2)]
    for flow in flows:
        flow[:, 1, :, 2:5] = length
        flow.requires_grad_()
    output = net.enhance(x, *flows)
    output.mean().backward()
    assert output.isfinite().all()
    for leaf in (*flows, *(leaf for name, leaf in net.named_parameters() if not name.startswith('spynet'))):
        assert leaf.grad.isfinite().all()
    if not abs(length) < 2**20:
        assert not any(flow.grad[:, 1, :, 2:5].any() for flow in flows)
    with torch.no_grad():
        torch.testing.assert_close(net.enhance(x, *flows), output, atol=1e-5, rtol=0)
