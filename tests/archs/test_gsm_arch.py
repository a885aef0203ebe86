import dataclasses
import importlib
import json
import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.archs.gsm_arch import GSMamba
from gsm_plugin.fast import sweep
from gsm_plugin.inference.precision import autocast
from gsm_plugin.ops import Cells, dispatch, tf32
from gsm_plugin.studies.precision.gradients import gradient_errors, smooth_derivatives, take_step
from tests.golden import CASES, DATA, TOLERANCE, expected, random_input, with_golden_weights
from tests.memory import PeakMemory

TINY = {
    'upscale': 2,
    'prop_depth': 2,
    'attn_depth': 2,
    'pa_frame': 1,
    'embed_dims': 8,
    'num_heads': 2,
    'use_checkpoint_attn': False,
    'use_checkpoint_ffn': False,
}

# Modules and ops that they call.
IN_TRAINING = [
    ('window_attention', 'window_attention'),
    ('mlp', 'depthwise_conv_gelu'),
    ('implicit_warp', 'implicit_warp'),
    ('bimamba', 'bidirectional_scan'),
]
IN_INFERENCE = [
    ('window_parts', 'window_attention'),
    ('gather_scatter', 'depthwise_conv_gelu'),
    ('gather_scatter', 'bidirectional_scan'),
    ('implicit_warp', 'Cells'),
]


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    return GSMamba(**{**TINY, **changes})


def clip(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def assert_golden(actual, key):
    torch.testing.assert_close(actual, expected(key), atol=TOLERANCE, rtol=0)


def test_state_dict_is_that_of_the_released_network():
    net = GSMamba(upscale=4, prop_depth=4, attn_depth=4, pa_frame=2, embed_dims=192, num_heads=8)
    actual = {key: [list(value.shape), str(value.dtype)] for key, value in net.state_dict().items()}
    assert actual == json.loads((DATA / 'state_dict_reds_x4.json').read_text())


@pytest.mark.parametrize('case', ['net_k3', 'net_k5'])
def test_output_and_flows_are_golden(case):
    net = with_golden_weights(GSMamba(**CASES[case]['kwargs']))
    x = random_input(case, tuple(CASES[case]['input_shape']))
    with torch.no_grad():
        flows_backward, flows_forward = net.estimate_flows(x)
        output = net(x)
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
    net = with_golden_weights(GSMamba(**CASES[case]['kwargs']))
    x = random_input(case, tuple(CASES[case]['input_shape']))
    with torch.no_grad():
        exact, single = net(x), net.float()(x.float()).double()
    psnr = -10 * torch.log10(((exact - single) ** 2).mean())
    assert psnr >= 80


def test_backends_agree():
    net = tiny().double()
    naive = tiny(scan_backend='naive', warp_backend='naive', attention_backend='naive').double()
    x = clip(1, 3, 3, 33, 41).double()
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


def test_inference_in_groups_equals_training_mode(monkeypatch):
    net, x = tiny(), clip(1, 5, 3, 33, 34)
    monkeypatch.setattr('gsm_plugin.fast.gsm._PIXELS_AT_ONCE', 2 * 33 * 34 * 4)
    monkeypatch.setattr('gsm_plugin.fast.flow_estimation._PIXELS_AT_ONCE', 3 * 33 * 34)
    monkeypatch.setattr('gsm_plugin.fast.attention._TOKENS_AT_ONCE', 2 * 33 * 34)
    with torch.no_grad():
        grouped = net(x)
    torch.testing.assert_close(grouped, net(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize('precision, size', [('fp32', 4), ('bf16', 2)])
def test_inference_keeps_two_feature_maps_of_each_frame_and_no_more(precision, size, monkeypatch):
    channels, side, peaks = 32, 32, {}
    monkeypatch.setattr('gsm_plugin.fast.gsm._PIXELS_AT_ONCE', 2 * side * side * 4)
    monkeypatch.setattr('gsm_plugin.fast.flow_estimation._PIXELS_AT_ONCE', 2 * 64 * 64)
    monkeypatch.setattr('gsm_plugin.fast.attention._TOKENS_AT_ONCE', 2 * side * side)
    net = tiny(embed_dims=channels)
    for frames in (8, 24):
        with torch.no_grad(), autocast(precision, torch.device('cpu')), PeakMemory() as memory:
            net(clip(1, frames, 3, side, side))
        peaks[frames] = memory.peak
    of_a_pixel = (peaks[24] - peaks[8]) / (24 - 8) / side**2
    # those before a layer and in it; besides, input, output, and flows between frames and in windows
    maps, pictures, flows = 2 * channels, 3 + 2**2 * 3, 2 * 2 * (2 + 2 * 3)
    assert of_a_pixel <= size * maps + 4 * (pictures + flows)


def test_bfloat16_changes_no_gradient_by_much():
    net, x = tiny(embed_dims=32, num_heads=4, upscale=4), clip(1, 3, 3, 13, 17)
    weighting = torch.randn(1, 3, 3, 52, 68, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def step(precision):
        def run():
            with autocast(precision, x.device):
                return net(x)

        return take_step(net, run, weighting)

    with smooth_derivatives():
        exact, rounded = step('fp32'), step('bf16')
    errors = gradient_errors(rounded, exact, exact)
    # with attention in bfloat16 it would be twice that
    assert errors.whole < 6e-4
    assert not errors.above(1e-2)


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_what_is_multiplied_by_tf32_in_training_under_autocast(precision, monkeypatch):
    seen, kept = _types_of_ops('layers', IN_TRAINING, precision, monkeypatch)
    in_half = {'bf16': torch.bfloat16, 'fp16': torch.float16}[precision], False
    by_tf32 = torch.float32, True
    in_bfloat16 = by_tf32 if precision == 'bf16' else in_half
    assert seen['window_attention'] == seen['bidirectional_scan'] == {in_bfloat16}
    assert seen['implicit_warp'] == {by_tf32}
    assert kept == {torch.bfloat16 if precision == 'bf16' else None}
    assert seen['depthwise_conv_gelu'] == {in_half}


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_nothing_is_multiplied_by_tf32_in_inference_under_autocast(precision, monkeypatch):
    with torch.no_grad():
        seen, _ = _types_of_ops('fast', IN_INFERENCE, precision, monkeypatch)
    assert len(seen) == len(IN_INFERENCE)
    half = {'bf16': torch.bfloat16, 'fp16': torch.float16}[precision]
    assert seen['window_attention'] == seen['bidirectional_scan'] == {(half, False)}
    assert seen['Cells'] == seen['depthwise_conv_gelu'] == {(torch.float16, False)}


def _types_of_ops(room, ops, precision, monkeypatch):
    """Types of what some ops get, and whether TF32 is on there; and in which the scan keeps its steps."""
    net, x, seen, kept = tiny(), clip(1, 3, 3, 9, 8), {}, set()

    def note(module, name):
        original = getattr(importlib.import_module(f'gsm_plugin.{room}.{module}'), name)

        def noted(first, *rest, **options):
            seen.setdefault(name, set()).add((first.dtype, tf32.products.is_on()))
            if name == 'bidirectional_scan':
                kept.add(rest[-1])
            return original(first, *rest, **options)

        monkeypatch.setattr(f'gsm_plugin.{room}.{module}.{name}', noted)

    for module, name in ops:
        note(module, name)
    with autocast(precision, x.device):
        net(x)
    return seen, kept


@pytest.mark.parametrize('options', [{}, {'attn_depth': 0}, {'scatter': 'anchor'}])
def test_inference_in_half_precision_adds_in_float16_and_is_as_exact_as_products_in_bfloat16(options, monkeypatch):
    errors = torch.zeros(2, dtype=torch.float64)
    # one draw of weights and pixels is not enough: it is between 0.95 and 1.16 times as exact
    for seed in range(6):
        outputs, expected = _in_half_precision(tiny(seed, **options), clip(1, 3, 3, 9, 10, seed=seed), monkeypatch)
        errors += torch.stack([(output - expected).square().sum() for output in outputs])
    error, usual = errors.sqrt()
    # without attention, training rounds next to nothing to bfloat16, and float16 is what limits inference
    rounding = 2**-13 * 6**0.5 * expected.norm() if options == {'attn_depth': 0} else 0
    assert error <= max(1.1 * usual, rounding)


def _in_half_precision(net, x, monkeypatch):
    """Outputs under autocast to bfloat16, of inference and with all products in bfloat16, and the one in float64."""
    sums, products = set(), set()
    original = sweep.run_stage

    def stage(*arguments):
        output = original(*arguments)
        sums.add(output.dtype)
        return output

    def noted(query, *others):
        products.add(query.dtype)
        return Cells(query, *others)

    with monkeypatch.context() as patch, autocast('bf16', x.device):
        patch.setattr('gsm_plugin.fast.implicit_warp.Cells', noted)
        patch.setattr('gsm_plugin.fast.gsm.run_stage', stage)
        with torch.no_grad():
            inference = net(x)
        # what is kept in float16 is projected in it too
        assert sums == products == {torch.float16}
        for module in ('propagation', 'gather_scatter', 'implicit_warp'):
            patch.setattr(f'gsm_plugin.layers.{module}.float32_by_tf32', lambda *_: nullcontext())
        in_bfloat16 = net(x).detach()
    with torch.no_grad():
        return (inference, in_bfloat16), net.double()(x.double())


@pytest.mark.parametrize('options', [{'attn_depth': 0}, {'pa_frame': 3}, {'scatter': 'anchor'}])
def test_without_gradients_frames_are_overwritten_but_results_are_the_same(options):
    net, x = tiny(**options), clip(2, 4, 3, 17, 18)
    before = x.clone()
    with torch.no_grad():
        in_place = net(x)
    torch.testing.assert_close(in_place, net(x), atol=1e-5, rtol=0)
    assert torch.equal(x, before)


def test_checkpointing_changes_memory_but_no_number():
    frames, flows = clip(1, 3, 12, 12, 8), torch.zeros(1, 3, 3, 2, 12, 12)
    saved, gradients = [], []
    for recompute in (False, True):
        net = tiny(use_checkpoint_attn=recompute, use_checkpoint_ffn=recompute)
        stage = net.prop_layers[0].stage
        elements = 0

        def count(tensor):
            nonlocal elements
            elements += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            output = stage(frames, flows, flows, 1, net.implicit_align)
        output.square().mean().backward()
        saved.append(elements)
        gradients.append([parameter.grad for parameter in stage.parameters()])
    assert saved[1] < 0.5 * saved[0]
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize('part, key', [('attn', 'use_checkpoint_attn'), ('ffn', 'use_checkpoint_ffn')])
def test_each_checkpoint_key_recomputes_its_part(part, key):
    net = tiny(**{key: True})
    calls = {'attn': 0, 'ffn': 0}

    def counts(name):
        def hook(*_):
            calls[name] += 1

        return hook

    net.prop_layers[0].stage.mamba_block.mamba.register_forward_pre_hook(counts('attn'))
    net.prop_layers[0].stage.mamba_block.mlp.register_forward_pre_hook(counts('ffn'))
    net(clip(1, 2, 3, 8, 8)).mean().backward()
    assert calls == {'attn': 2, 'ffn': 2} | {part: 4}


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
        torch.compiler.reset()
        with pytest.raises(Exception, match='fused kernels'):
            torch.compile(net, fullgraph=True)(x)


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
