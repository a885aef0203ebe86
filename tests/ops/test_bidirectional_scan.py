import functools

import pytest
import torch

from gsm_plugin.ops import ScanParameters, bidirectional_scan
from gsm_plugin.ops._common.requirements import needs_mamba_ssm
from gsm_plugin.ops.dispatch import choose_backend
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device

D, N, R, WIDTH = 6, 4, 2, 4
ON_GPU = DEVICE == 'cuda'


def inputs(length, batch=2, d=D, n=N, rank=R, step=0.0):
    """x, z and the parameters; a negative step makes the decay slow, so that states go through many chunks."""
    shapes = [(batch, length, d)] * 2 + [(2, d, WIDTH), (2, d), (2, rank + 2 * n, d), (2, d, rank), (2, d), (2, d, n)]
    *tensors, dt_bias, A, skip = random_tensors(*shapes, (2, d))
    return [*(0.5 * x for x in tensors), 0.5 * dt_bias + step, -A.exp(), skip]


def with_backend(backend):
    return lambda x, z, *parameters: bidirectional_scan(x, z, ScanParameters(*parameters), backend)


@pytest.fixture
def triton_impl(monkeypatch):
    """The kernels, on the CPU cut into pieces so small that short sequences have many of them."""
    pytest.importorskip('triton')
    from gsm_plugin.ops.bidirectional_scan import triton_impl

    if not ON_GPU:
        sizes = {'STEPS': 2, 'BLOCK': 4, 'CHANNELS': 16, 'CHAIN_TILE': (4, 4), 'TOKENS': 4, 'LEAST_BLOCKS': 2}
        for name, value in {**sizes, 'TILE': 16}.items():
            monkeypatch.setattr(triton_impl.plan, name, value)
    return triton_impl


def triton_backend(x, z, *parameters, kept=None):
    from gsm_plugin.ops.bidirectional_scan.triton_impl import bidirectional_scan_triton

    return on_device(lambda x, z, *rest: bidirectional_scan_triton(x, z, ScanParameters(*rest), kept))(
        x, z, *parameters
    )


@pytest.mark.parametrize('length', [1, 3, 63, 130])
def test_torch_matches_naive(length):
    assert_same_function(with_backend('torch'), with_backend('naive'), inputs(length))


@pytest.mark.parametrize('step', [0.0, -5.0])
@pytest.mark.parametrize('length, batch, d', [(1, 1, 3), (12, 1, 3), (9, 2, 5)])
def test_triton_matches_naive(triton_impl, length, batch, d, step):
    tensors = inputs(length, batch, d, n=2, rank=1, step=step)
    assert_same_function(triton_backend, with_backend('naive'), tensors, torch.float32)


def test_triton_carries_states_over_chunks(triton_impl):
    tensors = inputs(19, 1, 3, n=2, rank=1, step=-5.0)
    assert_same_function(triton_backend, with_backend('naive'), tensors, torch.float32)


@pytest.mark.parametrize('width', [2, 4])
def test_triton_carries_tokens_over_tiles(triton_impl, monkeypatch, width):
    def groups_of_three(sizes, steps, channels, programs):
        blocks = triton_impl.plan.ceil(sizes.padded, steps)
        return triton_impl.plan.ceil(blocks, 3), 3, triton_impl.plan.ceil(sizes.d, channels)

    monkeypatch.setattr(triton_impl.plan, 'groups', groups_of_three)
    x, z, conv, *rest = inputs(19, 1, 3, n=2, rank=1)
    assert_same_function(triton_backend, with_backend('naive'), [x, z, conv[..., :width], *rest], torch.float32)


# with 8 states, B and C of a step fill their row
@pytest.mark.parametrize('width, n', [(1, 1), (2, 3), (6, 3), (4, 8)])
def test_triton_matches_naive_with_other_widths_and_states(triton_impl, width, n):
    x, z, conv, *rest = inputs(9, 1, 3, n=n, rank=2)
    conv = torch.cat((conv, conv.flip(2)), 2)[:, :, :width]
    assert_same_function(triton_backend, with_backend('naive'), [x, z, conv, *rest], torch.float32)


@pytest.mark.skipif(not ON_GPU, reason='too large for the interpreter')
@pytest.mark.parametrize(
    'dtype, kept',
    [(torch.float32, None), (torch.float32, torch.bfloat16), (torch.bfloat16, None), (torch.float16, None)],
)
@pytest.mark.parametrize('length, batch, d, n, rank', [(63, 2, 40, 4, 3), (65, 1, 288, 16, 9), (1000, 2, 384, 16, 12)])
def test_triton_matches_naive_at_real_sizes(triton_impl, length, batch, d, n, rank, dtype, kept):
    kernels = functools.partial(triton_backend, kept=kept)
    for step in (0.0, -6.0):
        x, z, conv, bias, x_proj, *rest = inputs(length, batch, d, n, rank, step)
        tensors = [x, z, conv, bias, x_proj * (D / d) ** 0.5, *rest]
        actual, expected = ([], [])
        for function, kind, results in ((kernels, dtype, actual), (with_backend('torch'), None, expected)):
            leaves = [t.to(dtype).to(kind or torch.float64).requires_grad_() for t in tensors]
            y = function(*leaves)
            cotangent = random_tensors(y.shape, seed=1)[0].to(dtype).to(y.dtype)
            results += [y, *torch.autograd.grad(y, leaves, cotangent)]
        tolerance = 1e-5 if (kept or dtype) == torch.float32 else 2e-2
        for a, e in zip(actual, expected, strict=True):
            assert (a.double() - e).norm() <= tolerance * e.norm()


def test_triton_reads_strided_input_and_gradients(triton_impl):
    def halves(function):
        def of_halves(both, *parameters):
            return function(*both.chunk(2, -1), *parameters).transpose(0, 1)

        return of_halves

    x, z, *parameters = inputs(5, 2, 3, n=2, rank=1)
    tensors = [torch.cat((x, z), -1), *parameters]
    assert_same_function(halves(triton_backend), halves(with_backend('naive')), tensors, torch.float32)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('batch', [1, 2])
def test_triton_in_half_precision(triton_impl, batch, dtype):
    tensors = [x.to(dtype) for x in inputs(13, batch, 5, n=2, rank=1)]
    expected = with_backend('naive')(*(x.double() for x in tensors))
    with torch.no_grad():
        actual = triton_backend(*tensors)
    assert actual.dtype == dtype
    assert (actual - expected).norm() <= {torch.bfloat16: 2e-2, torch.float16: 2e-3}[dtype] * expected.norm()


def test_triton_in_float16_stays_finite_where_steps_do_not_fit(triton_impl):
    x, z, conv, bias, x_proj, dt_proj, *rest = inputs(13, 1, 5, n=2, rank=2)
    x_proj = torch.cat((6e4 * x_proj[:, :2].sign(), 1e-4 * x_proj[:, 2:]), 1)
    tensors = [20 * x, z, conv, bias, x_proj, dt_proj, *rest]
    with torch.no_grad():
        y = triton_backend(*(tensor.half() for tensor in tensors))
    assert torch.isfinite(y).all()


@pytest.mark.parametrize('kept', [torch.bfloat16, torch.float16])
def test_steps_kept_in_half_precision_leave_the_rest_in_float32(triton_impl, kept):
    leaves = [x.float().requires_grad_() for x in inputs(9, 2, 5, n=2, rank=1)]
    y = triton_backend(*leaves, kept=kept)
    expected = with_backend('naive')(*(leaf.double() for leaf in leaves))
    (cotangent,) = random_tensors(y.shape, seed=1)
    actual = [y, *torch.autograd.grad(y, leaves, cotangent.to(y))]
    wanted = [expected, *torch.autograd.grad(expected, leaves, cotangent.to(expected))]
    for a, w in zip(actual, wanted, strict=True):
        assert a.dtype == torch.float32
        assert (a - w).norm() <= 2e-2 * w.norm()
    # were x, z and y rounded as well, they would be in half precision as they are
    assert not torch.equal(y, y.to(kept).float())
    assert not torch.equal(y, triton_backend(*leaves))


def test_backends_without_steps_of_their_own_are_not_changed_by_their_type():
    tensors = inputs(5)
    for backend in ('torch', 'naive'):
        x, z, *parameters = tensors
        y = bidirectional_scan(x, z, ScanParameters(*parameters), backend, torch.bfloat16)
        assert torch.equal(y, with_backend(backend)(*tensors))


@pytest.mark.parametrize('kept', [None, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
def test_triton_is_the_same_without_gradients(triton_impl, batch, kept):
    tensors = inputs(37, batch, 5, n=2, rank=1, step=-5.0)
    tensors = [x.float() for x in tensors]
    expected = triton_backend(tensors[0].clone().requires_grad_(), *tensors[1:], kept=kept).detach()
    with torch.no_grad():
        actual = triton_backend(*tensors, kept=kept)
    assert torch.equal(actual, expected)


def test_triton_is_the_same_twice(triton_impl):
    leaves = [x.float().requires_grad_() for x in inputs(5, 1, 3, n=2, rank=1)]
    first, second = (torch.autograd.grad(triton_backend(*leaves).square().sum(), leaves) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_triton_keeps_nothing_of_the_size_of_states_per_token(triton_impl, monkeypatch):
    monkeypatch.setattr(triton_impl.plan, 'LEAST_BLOCKS', 16)
    kept = []
    leaves = [x.float().to(DEVICE).requires_grad_() for x in inputs(64, 1, 4, n=4, rank=1)]
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        triton_impl.bidirectional_scan_triton(leaves[0], leaves[1], ScanParameters(*leaves[2:]))
    assert max(x.numel() for x in kept) <= leaves[0].numel()


@pytest.mark.skipif(needs_mamba_ssm(torch.device(DEVICE)) is not None, reason='mamba-ssm cannot run here')
@pytest.mark.parametrize('dtype, tolerance', [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_mamba_ssm_matches_ours(triton_impl, dtype, tolerance):
    tensors = [x.to(DEVICE, dtype).requires_grad_() for x in inputs(257, 2, 64, 16, 4)]
    from gsm_plugin.ops.bidirectional_scan.mamba_ssm_impl import bidirectional_scan_mamba_ssm

    results = []
    for function in (triton_impl.bidirectional_scan_triton, bidirectional_scan_mamba_ssm):
        y = function(tensors[0], tensors[1], ScanParameters(*tensors[2:]))
        results.append([y, *torch.autograd.grad(y.float().square().sum(), tensors)])
    for actual, expected in zip(*results, strict=True):
        assert (actual - expected).float().norm() <= tolerance * expected.float().norm()


def test_float64_is_refused_by_name_and_passed_over_by_auto():
    with pytest.raises(RuntimeError, match='does not compute in float64'):
        choose_backend('bidirectional_scan', 'triton', 'cuda', torch.float64)
    assert choose_backend('bidirectional_scan', 'auto', 'cuda', torch.float64).name == 'torch'


@pytest.mark.parametrize('backend', ['naive', 'torch'])
def test_an_empty_sequence_stays_empty(backend):
    assert with_backend(backend)(*inputs(0)).shape == (2, 0, D)


def test_second_direction_is_the_first_on_the_reversed_sequence():
    x, z, *parameters = inputs(20)
    exchanged = [both.flip(0) for both in parameters]
    forward = with_backend('torch')(x, z, *parameters)
    reverse = with_backend('torch')(x.flip(1), z.flip(1), *exchanged).flip(1)
    torch.testing.assert_close(forward, reverse)


def test_without_decay_in_time_a_token_sees_the_whole_sequence():
    x, z, *parameters = inputs(15, batch=1)
    x.requires_grad_()
    gradient = torch.autograd.grad(with_backend('torch')(x, z, *parameters)[0, 7].sum(), x)[0]
    assert (gradient.abs().sum(-1) > 0).all()


def test_a_wrong_shape_is_named():
    x, z, *parameters = inputs(5)
    with pytest.raises(ValueError, match=r'x has the shape \(2, 5, 6\) and z \(2, 4, 6\)'):
        bidirectional_scan(x, z[:, :4], ScanParameters(*parameters))


@pytest.mark.parametrize(
    'name, shape',
    [
        ('conv_weight', (1, D, 4)), ('conv_weight', (2, D - 1, 4)), ('conv_weight', (2, D, 0)), ('conv_weight', (D, 4)),
        ('conv_bias', (2, D + 1)), ('dt_proj', (2, D - 1, R)), ('dt_proj', (2, D)), ('dt_bias', (D,)),
        ('A', (1, D, N)), ('A', (2, N)), ('D', (2, D - 1)), ('D', (2, 1)),
    ],
)  # fmt: skip
def test_parameters_of_other_shapes_are_refused_before_a_kernel_reads_beyond_them(name, shape):
    x, z, *values = inputs(5)
    parameters = ScanParameters(*values)._replace(**{name: torch.zeros(shape)})
    with pytest.raises(ValueError, match='shape'):
        bidirectional_scan(x, z, parameters)


def test_whole_numbers_are_refused():
    x, z, *values = inputs(5)
    with pytest.raises(ValueError, match='x is of int64; make it float'):
        bidirectional_scan(x.long(), z.long(), ScanParameters(*values))
