import pytest
import torch

from tests.ops.triton_device import DEVICE

triton = pytest.importorskip('triton')
tl = pytest.importorskip('triton.language')

from gsm_plugin.ops._triton.instructions import (  # noqa: E402
    add_pairs,
    hyperbolic_tangent,
    multiply_add_pairs,
    reciprocal,
    sine,
)


@triton.jit
def _single_kernel(p_x, p_reciprocal, p_sine, p_tangent, COUNT: tl.constexpr):
    i = tl.arange(0, COUNT)
    x = tl.load(p_x + i)
    tl.store(p_reciprocal + i, reciprocal(x))
    tl.store(p_sine + i, sine(x))
    tl.store(p_tangent + i, hyperbolic_tangent(x))


@triton.jit
def _pairs_kernel(p_x, p_y, p_sum, p_product, COUNT: tl.constexpr):
    i = tl.arange(0, COUNT)
    x, y = tl.load(p_x + i), tl.load(p_y + i)
    tl.store(p_sum + i, add_pairs(x, y))
    tl.store(p_product + i, multiply_add_pairs(x, y, x))


def test_single_instructions_are_as_near_as_they_say():
    x = torch.linspace(-3.14, 3.14, 2**12, device=DEVICE)
    results = [torch.full_like(x, torch.nan) for _ in range(3)]
    _single_kernel[(1,)](x, *results, len(x))
    wide = x.double()
    for result, expected, bound in zip(results, (1 / wide, wide.sin(), wide.tanh()), (2e-7, 0, 5e-4), strict=True):
        assert ((result - expected).abs() <= bound * expected.abs() + 7e-7).all()


def test_pairs_of_float16():
    x = torch.linspace(-9, 9, 2**12, device=DEVICE).half()
    y = x.flip(0).roll(77) / 7
    total, product = (torch.full_like(x, torch.nan) for _ in range(2))
    _pairs_kernel[(1,)](x, y, total, product, len(x))
    torch.testing.assert_close(total, x + y, rtol=0, atol=0)
    exact = x.double() * y.double()
    # the interpreter rounds the product as well
    assert ((product - (exact + x.double())).abs() <= 5e-4 * (2 * exact.abs() + x.abs())).all()
