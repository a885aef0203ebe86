import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import linear
from gsm_plugin.ops.linear import torch_impl
from gsm_plugin.ops.linear.naive import linear_naive
from gsm_plugin.ops.linear.torch_impl import ByTf32, WithBias
from gsm_plugin.switches import split_products, tf32
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device


def naive(x, weight, bias):
    return linear_naive(x, weight, bias, None)


def with_bias(x, weight, bias):
    """What `linear` does on a GPU, on any device."""
    return WithBias.apply(F.linear(x, weight, bias.detach()), bias)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(1, 1), (63, 5), (65, 3), (2, 4, 8, 16, 7), (1000, 2), (0, 4)])
def test_it_is_a_linear_layer_with_all_its_gradients(shape, dtype):
    inputs = [value / shape[-1] ** 0.5 for value in random_tensors(shape, (6, shape[-1]), (6,))]
    # sums of many rows would be compared by their own size
    inputs[0] /= max(1, shape[0]) ** 0.5
    assert_same_function(on_device(with_bias), naive, inputs, dtype)
    assert_same_function(on_device(linear), naive, inputs, dtype)
    assert_same_function(naive, F.linear, inputs)


def test_the_gradient_of_a_bias_is_not_rounded_to_the_type_of_autocast():
    x, weight, bias = (value.float().to(DEVICE).requires_grad_() for value in random_tensors((640, 5), (6, 5), (6,)))
    (cotangent,) = random_tensors((640, 6))
    cotangent = cotangent.bfloat16().to(DEVICE)
    with torch.autocast(DEVICE, torch.bfloat16):
        output = with_bias(x, weight, bias)
    assert output.dtype == torch.bfloat16
    output.backward(cotangent)
    assert bias.grad.dtype == torch.float32
    torch.testing.assert_close(bias.grad.double(), cotangent.double().sum(0), atol=1e-4, rtol=1e-5)
    # and the others are PyTorch's own
    with torch.autocast(DEVICE, torch.bfloat16):
        expected = F.linear(x, weight, bias)
    torch.testing.assert_close(output, expected)
    wanted = torch.autograd.grad(expected, (x, weight), cotangent)
    for leaf, gradient in zip((x, weight), wanted, strict=True):
        torch.testing.assert_close(leaf.grad, gradient)


@pytest.mark.parametrize('shape', [(5,), (1, 1), (63, 5), (2, 4, 8, 16, 7), (0, 4)])
def test_by_tf32_it_has_the_gradients_of_a_linear_layer(shape):
    x, weight = (value / shape[-1] ** 0.5 for value in random_tensors(shape, (6, shape[-1])))
    x /= max(1, shape[0]) ** 0.5
    function = on_device(lambda x, weight: ByTf32.apply(x, weight, None))
    assert_same_function(function, F.linear, [x, weight], torch.float64)


@pytest.fixture
def products(monkeypatch):
    """For each product of the backward pass, whether it may be by TF32."""
    seen, original = [], torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, '__matmul__', lambda *pair: seen.append(tf32.products.is_on()) or original(*pair))
    return seen


@pytest.mark.parametrize('wanted', [(True, True), (True, False), (False, True)])
def test_the_backward_pass_is_by_tf32_and_computes_what_is_wanted(products, wanted):
    pairs = zip(random_tensors((3, 5), (6, 5)), wanted, strict=True)
    leaves = [value.float().to(DEVICE).requires_grad_(with_gradient) for value, with_gradient in pairs]
    with tf32.products.turned(True):
        y = ByTf32.apply(*leaves, None)
    with tf32.products.turned(False):
        y.sum().backward()
    assert products == [True] * sum(wanted)
    assert [leaf.grad is not None for leaf in leaves] == list(wanted)


def test_autocast_that_is_on_in_the_backward_pass_rounds_nothing_of_a_product_by_tf32():
    leaves = [value.float().to(DEVICE).requires_grad_() for value in random_tensors((30, 5), (6, 5))]
    expected = torch.autograd.grad(ByTf32.apply(*leaves, None).square().sum(), leaves)
    y = ByTf32.apply(*leaves, None).square().sum()
    with torch.autocast(DEVICE, torch.bfloat16):
        gradients = torch.autograd.grad(y, leaves)
    for gradient, wanted in zip(gradients, expected, strict=True):
        assert torch.equal(gradient, wanted)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('on', [True, False])
@pytest.mark.parametrize('autocast', [True, False])
def test_tf32_is_for_float32_where_it_is_on(dtype, on, autocast):
    with tf32.products.turned(on), torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        assert torch_impl._multiplies_by_tf32(torch.rand(2, dtype=dtype)) == (
            on and dtype == torch.float32 and not autocast
        )


@torch.no_grad()
def test_without_gradients_it_is_pytorchs_own(monkeypatch):
    monkeypatch.setattr(torch_impl, 'WithBias', None)
    x, weight, bias = (value.to(DEVICE) for value in random_tensors((2, 3, 5), (4, 5), (4,)))
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))


def by_triton(x, weight, bias=None, onto=None):
    pytest.importorskip('triton')
    from gsm_plugin.ops.linear.triton_impl import linear_triton

    return linear_triton(*(None if value is None else value.to(DEVICE) for value in (x, weight, bias, onto)))


def far_from(actual, x, weight):
    """The greatest difference from the product of float64, each entry over the norms of the row and the column."""
    x, weight = x.double(), weight.double()
    norms = x.norm(dim=1, keepdim=True) * weight.norm(dim=1)
    return ((actual.cpu().double() - x @ weight.t()).abs() / norms).max().item()


# rows, channels, channels out: beyond blocks, less than one, and without any
SIZES = [(1, 1, 1), (63, 5, 3), (130, 33, 129), (129, 65, 7), (2, 192, 130), (0, 4, 3), (3, 4, 0)]


@torch.no_grad()
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('adds', [True, False])
@pytest.mark.parametrize('rows, c, m', SIZES)
def test_triton_matches_naive(rows, c, m, with_bias, adds):
    x, weight, bias, total = (value.float() for value in random_tensors((rows, c), (m, c), (m,), (rows, m)))
    bias, onto = bias if with_bias else None, total.clone().to(DEVICE) if adds else None
    expected = linear_naive(*(None if value is None else value.double() for value in (x, weight, bias)), None)
    actual = by_triton(x, weight, bias, onto)
    assert not adds or actual is onto
    expected = expected + total if adds else expected
    most = 1e-5 + 1e-6 * expected.abs()
    if DEVICE == 'cuda':
        # tensor cores cut off what the interpreter rounds, of numbers as large as those that are added up
        most += 4e-7 * x.norm(dim=1, keepdim=True) * weight.norm(dim=1)
    assert ((actual.cpu().double() - expected).abs() <= most).all()


@torch.no_grad()
def test_split_products_are_as_exact_as_float32_whatever_the_size_of_rows_and_columns():
    x, weight = (value.float() for value in random_tensors((40, 70), (24, 70)))
    # a network's are far nearer to each other
    x *= 10 ** torch.linspace(-30, 15, 40)[:, None] * 10 ** torch.linspace(-4, 4, 70)
    weight *= 10 ** torch.linspace(-6, 6, 24)[:, None]
    assert far_from(by_triton(x, weight), x, weight) < 2e-7
    assert far_from(x @ weight.t(), x, weight) < 2e-7
    # and one that rounds its factors is told from it
    assert far_from(x.bfloat16().double() @ weight.double().t(), x, weight) > 1e-5


@torch.no_grad()
@pytest.mark.parametrize('greatest', [2**-20, 0.99 * 2**-10, 2**-10, 1.0, 127.99, 128.0, 255.99, 256.0, 7e4])
@pytest.mark.parametrize('others', [0.0, 1.0])
def test_a_row_is_as_exact_at_the_edges_of_usual_sizes_whatever_the_others_are(greatest, others):
    x, weight = (value.float() for value in random_tensors((9, 70), (24, 70)))
    x[4] *= greatest / x[4].abs().max()
    x[:4] *= others
    x[5:] *= others
    actual = by_triton(x, weight)
    seen = slice(4, 5) if others == 0 else slice(None)
    assert far_from(actual[seen], x[seen], weight) < 2e-7
    assert others or not actual[:4].any()


@torch.no_grad()
def test_rows_of_zeros_give_zeros_and_others_that_are_not_finite_do_not_spread():
    x, weight = (value.float() for value in random_tensors((5, 6), (4, 6)))
    x[0], x[1, 2], x[2, 3], x[3, 0] = 0, float('inf'), float('nan'), 3e38
    actual, expected = by_triton(x, weight), x.double() @ weight.double().t()
    assert not actual[0].any()
    assert not actual[1:3].isfinite().any()
    torch.testing.assert_close(actual[3:].cpu().double(), expected[3:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_rows_in_a_wider_tensor_and_a_transposed_matrix_are_read_where_they_are():
    x, weight = (value.float().to(DEVICE) for value in random_tensors((2, 3, 10), (5, 4)))
    for rows in (x.chunk(2, -1)[1], x[..., ::2], x[:, ::2, 5:]):
        torch.testing.assert_close(by_triton(rows, weight.t()), F.linear(rows, weight.t()), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_products_are_split_in_float32_where_the_switch_is_on_and_nowhere_else(triton_anywhere):
    pytest.importorskip('triton')
    x, weight = (value.float().to(DEVICE) for value in random_tensors((2, 16), (4, 16)))
    with split_products.products.turned(True):
        assert torch.equal(linear(x, weight), linear(x, weight, backend='triton'))
        with torch.autocast(DEVICE, torch.bfloat16):
            assert linear(x, weight).dtype == torch.bfloat16
            with pytest.raises(RuntimeError, match='autocast is on, which rounds what is multiplied'):
                linear(x, weight, backend='triton')
        with torch.enable_grad(), pytest.raises(RuntimeError, match='its kernel keeps no gradients'):
            linear(x, weight, backend='triton')
        odd = x[:, :15], weight[:, :15]
        assert torch.equal(linear(*odd), linear(*odd, backend='torch'))
        with pytest.raises(RuntimeError, match='slow for rows of 15 entries, which is no multiple of 16'):
            linear(*odd, backend='triton')
    with pytest.raises(RuntimeError, match='products are not to be split'):
        linear(x, weight, backend='triton')


@torch.no_grad()
@pytest.mark.parametrize('backend', ['torch', 'naive'])
def test_a_result_is_added_where_it_is_asked_for(backend):
    x, weight, bias, total = (value.to(DEVICE) for value in random_tensors((2, 3, 5), (4, 5), (4,), (2, 3, 4)))
    for addend in (bias, None):
        onto = total.clone()
        assert linear(x, weight, addend, backend, onto) is onto
        torch.testing.assert_close(onto, total + F.linear(x, weight, addend))


@torch.no_grad()
def test_sums_of_another_shape_or_order_and_gradients_are_named():
    x, weight = random_tensors((3, 5), (4, 5))
    with pytest.raises(ValueError, match=r'onto has the shape \(4, 3\); x \(3, 5\) and 4 rows of weight need \(3, 4\)'):
        linear(x, weight, onto=torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r'onto has the strides \(1, 3\); give a contiguous tensor of \(3, 4\)'):
        linear(x, weight, onto=torch.zeros(4, 3).t())
    with torch.enable_grad(), pytest.raises(ValueError, match='linear keeps no gradients of what it adds to; call it'):
        linear(x, weight, onto=torch.zeros(3, 4))
