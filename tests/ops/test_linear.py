import pytest
import torch
from torch.nn import functional as F

from gsm_plugin.ops import linear
from gsm_plugin.ops.linear import torch_impl
from gsm_plugin.ops.linear.naive import linear_naive
from gsm_plugin.ops.linear.torch_impl import ByTf32, WithBias
from gsm_plugin.switches import tf32
from tests.ops.comparison import assert_same_function, random_tensors
from tests.ops.triton_device import DEVICE, on_device


def with_bias(x, weight, bias):
    """What `linear` does on a GPU, on any device."""
    return WithBias.apply(F.linear(x, weight, bias.detach()), bias)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('shape', [(1, 1), (63, 5), (65, 3), (2, 4, 8, 16, 7), (1000, 2), (0, 4)])
def test_it_is_a_linear_layer_with_all_its_gradients(shape, dtype):
    inputs = [value / shape[-1] ** 0.5 for value in random_tensors(shape, (6, shape[-1]), (6,))]
    # sums of many rows would be compared by their own size
    inputs[0] /= max(1, shape[0]) ** 0.5
    assert_same_function(on_device(with_bias), linear_naive, inputs, dtype)
    assert_same_function(on_device(linear), linear_naive, inputs, dtype)
    assert_same_function(linear_naive, F.linear, inputs)


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
