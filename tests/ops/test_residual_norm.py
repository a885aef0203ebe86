import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import layer_norm, residual_layer_norm, residual_sum
from gsm_plugin.ops.residual_norm.naive import residual_norm_naive
from gsm_plugin.ops.residual_norm.torch_impl import residual_norm_torch
from tests.ops.comparison import TOLERANCES, random_tensors
from tests.ops.triton_device import DEVICE

EPS = 1e-5
DTYPES = pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
KINDS = ('norm', 'sum', 'scaled sum', 'sum and norm', 'scaled sum and norm')


def bare_triton_backend():
    pytest.importorskip('triton')
    from gsm_plugin.ops.residual_norm.triton_impl import residual_norm_triton

    return residual_norm_triton


def triton_backend():
    function = bare_triton_backend()

    def on_device(*args):
        args = [x.to(DEVICE) if isinstance(x, torch.Tensor) else x for x in args]
        return [x if x is None else x.cpu() for x in function(*args)]

    return on_device


def tensors(shape, dtype, kind, update_dtype=None):
    """x, update, scale, weight and bias; those that the kind does not have are None."""
    c = shape[-1:]
    x, update, scale, weight, bias = random_tensors(shape, shape, c, c, c)
    result = [(x + 0.5).to(dtype), None, None, None, None]
    parameter_dtype = torch.float64 if dtype == torch.float64 else torch.float32
    if 'sum' in kind:
        result[1] = update.to(update_dtype or dtype)
    if 'scaled' in kind:
        result[2] = scale.to(parameter_dtype)
    if 'norm' in kind:
        result[3:] = weight.to(parameter_dtype), bias.to(parameter_dtype)
    return result


def results(function, inputs, dtype, change=lambda x: x):
    """Outputs that are not None, and the gradients of all inputs that are not."""
    leaves = [x if x is None else x.detach().clone().requires_grad_() for x in inputs]
    outputs = function(change(leaves[0]), *leaves[1:], EPS, dtype)
    # without an update, there is no sum
    outputs = [x for x in outputs[leaves[1] is None :] if x is not None]
    cotangents = random_tensors(*(x.shape for x in outputs), seed=1)
    cotangents = [g.to(x.dtype) for x, g in zip(outputs, cotangents, strict=True)]
    return outputs + list(torch.autograd.grad(outputs, [x for x in leaves if x is not None], cotangents))


def assert_matches_naive(function, inputs, dtype, change=lambda x: x):
    wide = [x if x is None else x.double() for x in inputs]
    actual = results(function, inputs, dtype, change)
    expected = results(residual_norm_naive, wide, torch.float64, change)
    absolute, relative = TOLERANCES[dtype]
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        scale = max(1.0, e.abs().max().item() if e.numel() else 1.0)
        torch.testing.assert_close(a.double(), e, atol=absolute * scale, rtol=relative)


def test_naive_normalises_to_mean_zero_and_variance_one():
    (x,) = random_tensors((3, 50))
    ones, zeros = torch.ones(50, dtype=torch.float64), torch.zeros(50, dtype=torch.float64)
    _, normed = residual_norm_naive(7 * x + 3, None, None, ones, zeros, 0.0, torch.float64)
    torch.testing.assert_close(normed.mean(-1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(normed.var(-1, unbiased=False), torch.ones(3, dtype=torch.float64))


def test_naive_is_pytorchs_layer_norm_of_the_sum():
    x, update, scale, weight, bias = tensors((2, 3, 8), torch.float64, 'scaled sum and norm')
    total, normed = residual_norm_naive(x, update, scale, weight, bias, EPS, torch.float64)
    torch.testing.assert_close(total, scale * x + update)
    torch.testing.assert_close(normed, F.layer_norm(total, (8,), weight, bias, EPS))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
@pytest.mark.parametrize('kind', KINDS)
def test_torch_matches_naive(kind, dtype):
    assert_matches_naive(residual_norm_torch, tensors((2, 3, 4, 10), dtype, kind), dtype)


@DTYPES
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', [(1, 1), (63, 5), (2, 3, 5, 65), (9, 192)])
def test_triton_matches_naive(shape, kind, dtype):
    assert_matches_naive(triton_backend(), tensors(shape, dtype, kind), dtype)


@pytest.mark.parametrize('kind', KINDS)
def test_triton_sums_types_that_differ(kind):
    inputs = tensors((7, 12), torch.float32, kind, update_dtype=torch.bfloat16)
    assert_matches_naive(triton_backend(), inputs, torch.bfloat16)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'change',
    [lambda x: x.permute(2, 0, 1, 3), lambda x: x.permute(0, 2, 3, 1), lambda x: x.permute(1, 2, 0, 3)[:, ::2]],
)
def test_triton_takes_x_in_any_memory_order(kind, change):
    shape = change(torch.empty(2, 3, 4, 6)).shape
    inputs = tensors(shape, torch.float32, kind)
    inputs[0] = random_tensors((2, 3, 4, 6), dtype=torch.float32)[0]
    assert_matches_naive(triton_backend(), inputs, torch.float32, change)


@pytest.mark.skipif(DEVICE == 'cpu', reason='a size for a GPU')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('kind', KINDS)
def test_triton_matches_naive_at_the_size_of_a_training_crop(kind, dtype):
    assert_matches_naive(triton_backend(), tensors((5, 64, 64, 192), dtype, kind), dtype)


def test_no_rows_give_no_rows_and_zero_gradients():
    for kind in KINDS:
        inputs = tensors((0, 6), torch.float32, kind)
        assert_matches_naive(triton_backend(), inputs, torch.float32)


@pytest.mark.parametrize('backend', ['naive', 'torch', 'triton'])
@pytest.mark.parametrize('kind', ['sum', 'scaled sum and norm'])
@pytest.mark.parametrize('step', [1, 2])
def test_without_gradients_the_sum_overwrites_x(kind, backend, step):
    function = {'naive': residual_norm_naive, 'torch': residual_norm_torch}.get(backend)
    if function is None:
        function = bare_triton_backend()
    inputs = [x if x is None else x.to(DEVICE) for x in tensors((3, 4, 6), torch.float32, kind)]
    expected = residual_norm_naive(*inputs, EPS, torch.float32)
    wide = torch.full((3, 4 * step, 6), torch.nan, device=DEVICE)
    x = wide[:, ::step].copy_(inputs[0])
    with torch.no_grad():
        total, normed = function(x, *inputs[1:], EPS, torch.float32, x)
    assert total.data_ptr() == wide.data_ptr()
    torch.testing.assert_close(wide[:, ::step], expected[0])
    torch.testing.assert_close(normed, expected[1])
    assert wide.isnan().sum() == (step - 1) * 72


def test_the_three_functions_share_the_op():
    x, update, scale, weight, bias = tensors((4, 6), torch.float64, 'scaled sum and norm')
    total, normed = residual_layer_norm(x, update, scale, weight, bias, EPS, torch.float64)
    torch.testing.assert_close(total, residual_sum(x, update, scale))
    torch.testing.assert_close(normed, layer_norm(total, weight, bias, EPS, torch.float64))


def test_sizes_that_do_not_fit_are_named():
    x, update, scale, weight, bias = tensors((4, 6), torch.float64, 'scaled sum and norm')
    with pytest.raises(ValueError, match=r'scale has the shape \(3,\); x \(4, 6\) needs \(6,\)'):
        residual_sum(x, update, scale[:3])
    with pytest.raises(ValueError, match=r'into has the shape \(3, 6\); give that of x, \(4, 6\)'), torch.no_grad():
        residual_sum(x, update, scale, into=x[:3])
    with pytest.raises(ValueError, match=r'into keeps no gradients; leave it out, or call within torch.no_grad'):
        residual_sum(x, update, scale, into=x)
    with pytest.raises(ValueError, match=r'update has the shape \(2, 6\); give that of x, \(4, 6\)'):
        residual_layer_norm(x, update[:2], scale, weight, bias, EPS, torch.float64)
