"""How exact a GSM is under autocast."""

from dataclasses import replace

import pytest
import torch

import gsm_plugin  # noqa: F401  (makes basicsr importable)
from gsm_plugin.fast import sweep
from gsm_plugin.layers.precision import AS_AROUND, policy_for
from gsm_plugin.ops import Cells
from gsm_plugin.studies.precision.gradients import gradient_errors, smooth_derivatives, take_step
from tests.archs.tiny_gsm import clip, tiny


def test_bfloat16_changes_no_gradient_by_much():
    net, x = tiny(embed_dims=32, num_heads=4, upscale=4), clip(1, 3, 3, 13, 17)
    weighting = torch.randn(1, 3, 3, 52, 68, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def step(precision):
        def run():
            with policy_for('training', precision).autocasting(x.device):
                return net(x)

        return take_step(net, run, weighting)

    with smooth_derivatives():
        exact, rounded = step('fp32'), step('bf16')
    errors = gradient_errors(rounded, exact, exact)
    # with attention in bfloat16 it would be twice that
    assert errors.whole < 6e-4
    assert not errors.above(1e-2)


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

    with monkeypatch.context() as patch, policy_for('inference', 'bf16').autocasting(x.device):
        patch.setattr('gsm_plugin.fast.implicit_warp.Cells', noted)
        patch.setattr('gsm_plugin.fast.gsm.run_stage', stage)
        with torch.no_grad():
            inference = net(x)
        # what is kept in float16 is projected in it too
        assert sums == products == {torch.float16}
        everything = replace(policy_for('training', 'bf16'), attention=AS_AROUND, gather=AS_AROUND, scan=AS_AROUND)
        for module in ('propagation', 'gather_scatter', 'implicit_warp'):
            patch.setattr(f'gsm_plugin.layers.{module}.training_policy', lambda _: everything)
        in_bfloat16 = net(x).detach()
    with torch.no_grad():
        return (inference, in_bfloat16), net.double()(x.double())
