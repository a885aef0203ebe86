import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gsm_plugin.ops import selective_scan
from gsm_plugin.ops.selective_scan import torch_impl
from gsm_plugin.ops.selective_scan.naive import selective_scan_naive
from gsm_plugin.ops.selective_scan.torch_impl import selective_scan_torch
from tests.ops.comparison import assert_same_function, random_tensors


def inputs(length, batch=2, channels=3, state=4, seed=0):
    sequence, states = (batch, channels, length), (batch, state, length)
    u, delta, A, B, C = random_tensors(sequence, sequence, (channels, state), states, states, seed=seed)
    return u, F.softplus(delta - 1), -A.exp(), B, C


def ones(*shape):
    return torch.ones(shape, dtype=torch.float64)


@pytest.mark.parametrize('scan', [selective_scan_naive, selective_scan_torch])
def test_constant_decay_gives_a_geometric_series(scan):
    half = torch.full((1, 1), 0.5, dtype=torch.float64).log()
    y = scan(ones(1, 1, 6), ones(1, 1, 6), half, ones(1, 1, 6), ones(1, 1, 6))
    expected = torch.tensor([1, 1.5, 1.75, 1.875, 1.9375, 1.96875], dtype=torch.float64)
    torch.testing.assert_close(y[0, 0], expected)


@pytest.mark.parametrize('scan', [selective_scan_naive, selective_scan_torch])
def test_no_decay_gives_a_cumulative_sum(scan):
    u, delta, _, B, C = inputs(100)
    y = scan(u, delta, torch.zeros(3, 4, dtype=torch.float64), B, C)
    states = ((delta * u)[:, :, None] * B[:, None]).cumsum(-1)
    torch.testing.assert_close(y, (states * C[:, None]).sum(2))


@pytest.mark.parametrize('length', [1, 2, 63, 65, 1000])
def test_matches_naive(length):
    assert_same_function(selective_scan_torch, selective_scan_naive, inputs(length))


@pytest.mark.parametrize('dtype', [torch.float32])
def test_matches_naive_in_single_precision(dtype):
    assert_same_function(selective_scan_torch, selective_scan_naive, inputs(257), dtype)


def test_blocks_of_channels_change_nothing(monkeypatch):
    monkeypatch.setattr(torch_impl, '_BLOCK_ELEMENTS', 2 * 65 * 4 * 2)
    assert_same_function(selective_scan_torch, selective_scan_naive, inputs(65, channels=5))


# blocks of 90 steps: with a rest, without one, and with as many chunks as steps
@pytest.mark.parametrize('least, call, length', [(2, 7 * 24, 200), (2, 9 * 24, 180), (1, 24, 91), (99, 2**15, 91)])
def test_chunks_in_lockstep_change_nothing(monkeypatch, least, call, length):
    monkeypatch.setattr(torch_impl, '_BLOCK_ELEMENTS', 90 * 24)
    monkeypatch.setattr(torch_impl, '_CALL_ELEMENTS', call)
    monkeypatch.setattr(torch_impl, '_LEAST_CHUNKS', least)
    assert_same_function(selective_scan_torch, selective_scan_naive, inputs(length))


def test_matches_naive_on_non_contiguous_input():
    def transposed(function):
        return lambda u, *rest: function(u.transpose(0, 2).contiguous().transpose(0, 2), *rest)

    assert_same_function(transposed(selective_scan_torch), selective_scan_naive, inputs(20))


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_zero_length(backend):
    assert selective_scan(*inputs(0), backend=backend).shape == (2, 3, 0)


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_bias_softplus_skip_and_gate(backend):
    u, delta, A, B, C = inputs(9)
    D, z, bias = random_tensors((3,), (2, 3, 9), (3,), seed=5)
    actual = selective_scan(u, delta, A, B, C, D, z, bias, delta_softplus=True, backend=backend)
    y = selective_scan_naive(u, F.softplus(delta + bias[:, None]), A, B, C)
    torch.testing.assert_close(actual, (y + D[:, None] * u) * F.silu(z))


def test_half_precision_is_scanned_in_float32():
    tensors = [x.bfloat16() for x in inputs(400)]
    expected = selective_scan_naive(*(x.float() for x in tensors))
    actual = selective_scan(*tensors)
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual, expected.bfloat16(), atol=1e-2, rtol=1e-2)


def test_saved_activations_do_not_grow_with_the_state():
    saved = []
    for state in (2, 64):
        tensors = [x.requires_grad_() for x in inputs(50, channels=8, state=state)]
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x) or x, lambda x: x):
            selective_scan(*tensors)
        # A, B and C themselves have the size of the state; what counts is what is kept per channel and step.
        saved.append(sum(x.numel() for x in kept if x.shape[:2] == (2, 8)))
    assert saved[0] == saved[1]


@settings(max_examples=40, deadline=None)
@given(
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e3, 1e4]),
    step=st.sampled_from([-1e4, -20.0, 0.0, 20.0, 1e4]),
    dtype=st.sampled_from([torch.bfloat16, torch.float16]),
    seed=st.integers(0, 1000),
)
def test_finite_for_inputs_and_steps_of_any_size(scale, step, dtype, seed):
    u, delta, A, B, C = inputs(70, seed=seed)
    leaves = [(scale * u).to(dtype), (delta + step).to(dtype), A.float(), B.to(dtype), C.to(dtype)]
    leaves = [x.requires_grad_() for x in leaves]
    # In float32, so that the range of the result's type is not what is tested.
    y = selective_scan(leaves[0].float(), *leaves[1:], delta_softplus=True)
    assert y.isfinite().all()
    gradients = torch.autograd.grad(y.tanh().mean(), leaves)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize('name, index', [('delta', 1), ('A', 2), ('B', 3), ('C', 4)])
def test_a_wrong_shape_is_named(name, index):
    tensors = list(inputs(5))
    tensors[index] = tensors[index][:1, ...] if index != 2 else tensors[index][:2]
    with pytest.raises(ValueError, match=f'{name} has the shape'):
        selective_scan(*tensors)
