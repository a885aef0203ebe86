"""Which types a GSM computes in under autocast, and how exact that is."""

import importlib
from contextlib import nullcontext

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.fast import sweep
from gsm_plugin.inference.precision import autocast
from gsm_plugin.ops import Cells
from gsm_plugin.studies.precision.gradients import gradient_errors, smooth_derivatives, take_step
from gsm_plugin.switches import tf32
from tests.archs.tiny_gsm import clip, tiny

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
