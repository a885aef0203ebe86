import inspect
import itertools

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


def y_of(scan):
    """The first of a backend's two results."""
    return lambda *arguments: scan(*arguments)[0]


naive, fast = y_of(selective_scan_naive), y_of(selective_scan_torch)


def ones(*shape):
    return torch.ones(shape, dtype=torch.float64)


@pytest.mark.parametrize('scan', [naive, fast])
def test_constant_decay_gives_a_geometric_series(scan):
    half = torch.full((1, 1), 0.5, dtype=torch.float64).log()
    y = scan(ones(1, 1, 6), ones(1, 1, 6), half, ones(1, 1, 6), ones(1, 1, 6))
    expected = torch.tensor([1, 1.5, 1.75, 1.875, 1.9375, 1.96875], dtype=torch.float64)
    torch.testing.assert_close(y[0, 0], expected)


@pytest.mark.parametrize('scan', [naive, fast])
def test_no_decay_gives_a_cumulative_sum(scan):
    u, delta, _, B, C = inputs(100)
    y = scan(u, delta, torch.zeros(3, 4, dtype=torch.float64), B, C)
    states = ((delta * u)[:, :, None] * B[:, None]).cumsum(-1)
    torch.testing.assert_close(y, (states * C[:, None]).sum(2))


@pytest.mark.parametrize('length', [1, 2, 63, 65, 1000])
def test_matches_naive(length):
    assert_same_function(fast, naive, inputs(length))


@pytest.mark.parametrize('dtype', [torch.float32])
def test_matches_naive_in_single_precision(dtype):
    assert_same_function(fast, naive, inputs(257), dtype)


def test_blocks_of_channels_change_nothing(monkeypatch):
    monkeypatch.setattr(torch_impl, '_BLOCK_ELEMENTS', 2 * 65 * 4 * 2)
    assert_same_function(fast, naive, inputs(65, channels=5))


# blocks of 90 steps: with a rest, without one, and with as many chunks as steps
@pytest.mark.parametrize('least, call, length', [(2, 7 * 24, 200), (2, 9 * 24, 180), (1, 24, 91), (99, 2**15, 91)])
def test_chunks_in_lockstep_change_nothing(monkeypatch, least, call, length):
    monkeypatch.setattr(torch_impl, '_BLOCK_ELEMENTS', 90 * 24)
    monkeypatch.setattr(torch_impl, '_CALL_ELEMENTS', call)
    monkeypatch.setattr(torch_impl, '_LEAST_CHUNKS', least)
    assert_same_function(fast, naive, inputs(length))


def test_matches_naive_on_non_contiguous_input():
    def transposed(function):
        return lambda u, *rest: function(u.transpose(0, 2).contiguous().transpose(0, 2), *rest)

    assert_same_function(transposed(fast), naive, inputs(20))


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_zero_length(backend):
    assert selective_scan(*inputs(0), backend=backend).shape == (2, 3, 0)


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_bias_softplus_skip_and_gate(backend):
    u, delta, A, B, C = inputs(9)
    D, z, bias = random_tensors((3,), (2, 3, 9), (3,), seed=5)
    actual = selective_scan(u, delta, A, B, C, D, z, bias, delta_softplus=True, backend=backend)
    y = naive(u, F.softplus(delta + bias[:, None]), A, B, C)
    torch.testing.assert_close(actual, (y + D[:, None] * u) * F.silu(z))


def test_half_precision_is_scanned_in_float32():
    tensors = [x.bfloat16() for x in inputs(400)]
    expected = naive(*(x.float() for x in tensors))
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


def reference(u, delta, A, B, C, D, z, delta_bias):
    """What mamba-ssm's `selective_scan_fn` returns with a softplus, number by number."""
    (b, d, length), n = u.shape, A.shape[1]
    y, h = torch.zeros_like(u), u.new_zeros(b, d, n)
    B, C = (x if x.ndim == 4 else x[:, None] for x in (B, C))
    for i, channel, t in itertools.product(range(b), range(d), range(length)):
        group = channel // (d // B.shape[1])
        step = F.softplus(delta[i, channel, t] + delta_bias[channel])
        h[i, channel] = (step * A[channel]).exp() * h[i, channel] + step * u[i, channel, t] * B[i, group, :, t]
        y[i, channel, t] = h[i, channel] @ C[i, group, :, t] + D[channel] * u[i, channel, t]
    return y * F.silu(z), h


def mambas_arguments(groups=None):
    u, delta, A, B, C = inputs(7, channels=6)
    D, z, bias = random_tensors((6,), (2, 6, 7), (6,), seed=5)
    if groups:
        B, C = random_tensors(*[(2, groups, 4, 7)] * 2, seed=6)
    return u, delta, A, B, C, D, z, bias


@pytest.mark.parametrize('backend', ['torch', 'naive'])
@pytest.mark.parametrize('groups', [None, 1, 2, 3])
def test_it_is_what_selective_scan_fn_of_mamba_ssm_is(backend, groups):
    arguments = mambas_arguments(groups)
    y, last_state = selective_scan(*arguments, True, True, backend=backend)
    expected_y, expected_state = reference(*arguments)
    torch.testing.assert_close(y, expected_y)
    torch.testing.assert_close(last_state, expected_state)
    assert torch.equal(selective_scan(*arguments, True, backend=backend), y)


def test_its_arguments_are_those_of_selective_scan_fn_of_mamba_ssm():
    theirs = ['u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias', 'delta_softplus', 'return_last_state']
    parameters = inspect.signature(selective_scan).parameters
    assert list(parameters) == [*theirs, 'backend']
    assert [parameters[name].default for name in theirs[5:]] == [None, None, None, False, False]


def test_groups_have_the_gradients_of_naive():
    arguments = mambas_arguments(groups=3)

    def of(backend):
        return lambda *tensors: selective_scan(*tensors, delta_softplus=True, backend=backend)

    assert_same_function(of('torch'), of('naive'), arguments)


@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_no_gradient_flows_into_the_last_state_and_that_of_the_rest_is_the_same(backend):
    leaves = [x.requires_grad_() for x in inputs(5)]
    y, last_state = selective_scan(*leaves, return_last_state=True, backend=backend)
    assert not last_state.requires_grad
    expected = torch.autograd.grad(selective_scan(*leaves, backend=backend).square().sum(), leaves)
    for actual, wanted in zip(torch.autograd.grad(y.square().sum(), leaves), expected, strict=True):
        assert torch.equal(actual, wanted)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_last_state_of_half_precision_is_in_float32(dtype):
    tensors = [x.to(dtype) for x in inputs(70)]
    y, last_state = selective_scan(*tensors, return_last_state=True)
    assert (y.dtype, last_state.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(last_state, selective_scan_naive(*(x.float() for x in tensors))[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    'name, change, message',
    [
        ('A', lambda x: x.cfloat(), 'A is of complex64; make it float'),
        ('B', lambda x: x[0, :, :1].expand(-1, 6), r'B has the shape \(4, 6\); u \(2, 6, 7\) needs \(2, 4, 7\)'),
        ('C', lambda x: x[:, None], r'C has the shape \(2, 1, 4, 7\); u \(2, 6, 7\) needs \(2, 4, 7\)'),
        ('D', lambda x: x[1:], r'D has the shape \(5,\); u \(2, 6, 7\) needs \(6,\)'),
        ('z', lambda x: x[..., 1:], r'z has the shape \(2, 6, 6\); u \(2, 6, 7\) needs \(2, 6, 7\)'),
        ('u', lambda x: x.long(), 'u is of int64; make it float'),
        ('A', lambda x: x.int(), 'A is of int32; make it float'),
        ('B', lambda x: x.to('meta'), 'B is on meta, but u on cpu; move one of them'),
        ('z', lambda x: x.numpy(), 'z is of numpy.ndarray; make it a tensor'),
        ('u', lambda x: x[0], r'u has the shape \(6, 7\); give \(b, d, l\)'),
    ],
)
def test_what_is_not_covered_is_named(name, change, message):
    arguments = dict(zip(['u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias'], mambas_arguments(), strict=True))
    with pytest.raises(ValueError, match=message):
        selective_scan(**{**arguments, name: change(arguments[name])})


def test_groups_that_do_not_divide_the_channels_are_named():
    with pytest.raises(ValueError, match='6 channels in 4 groups of B and C; give a multiple'):
        selective_scan(*mambas_arguments(groups=4))
