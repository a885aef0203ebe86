import pytest
import torch

from tests.ops.triton_device import DEVICE

triton = pytest.importorskip('triton')
tl = pytest.importorskip('triton.language')

from gsm_plugin.ops._triton.normal import distribution_in_half_precision, gelu_pairs, normal_distribution  # noqa: E402


@triton.jit
def _distributions_kernel(p_x, p_exact, p_half, COUNT: tl.constexpr):
    i = tl.arange(0, COUNT)
    b_x = tl.load(p_x + i)
    tl.store(p_exact + i, normal_distribution(b_x)[0])
    tl.store(p_half + i, distribution_in_half_precision(b_x))


def test_distributions_are_as_near_as_they_say():
    x = torch.linspace(-12, 12, 2**14, device=DEVICE)
    exact, half = (torch.full_like(x, torch.nan) for _ in range(2))
    _distributions_kernel[(1,)](x, exact, half, len(x))
    expected = torch.special.ndtr(x.double())
    assert (exact - expected).abs().max() < 3e-7
    assert (half - expected).abs().max() < 7.5e-6
    assert (x * (half - expected)).abs().max() < 4e-6
    near = x.abs() < 3
    assert (half / expected - 1)[near].abs().max() < 5e-4


def test_far_from_zero_nothing_overflows():
    x = torch.tensor([-1e30, -100.0, 100.0, 1e30], device=DEVICE)
    exact, half = (torch.full_like(x, torch.nan) for _ in range(2))
    _distributions_kernel[(1,)](x, exact, half, len(x))
    for distribution in (exact, half):
        assert distribution.tolist() == [0.0, 0.0, 1.0, 1.0]


@triton.jit
def _gelu_kernel(p_x, p_gelu, COUNT: tl.constexpr):
    i = tl.arange(0, COUNT)
    tl.store(p_gelu + i, gelu_pairs(tl.load(p_x + i)))


def _gelu(x):
    gelu = torch.full_like(x, torch.nan)
    _gelu_kernel[(1,)](x, gelu, len(x))
    return gelu


def test_gelu_in_float16_is_as_near_as_it_says():
    x = torch.linspace(-9, 9, 2**12, device=DEVICE).half()
    expected = torch.nn.functional.gelu(x.double())
    assert ((_gelu(x) - expected).abs() <= 2e-3 * expected.abs().clamp(min=1)).all()


def test_gelu_of_what_float16_cannot_hold():
    infinity = float('inf')
    x = torch.tensor([-infinity, -65504.0, -20.0, 0.0, 300.0, 65504.0, infinity, 1.0], device=DEVICE).half()
    gelu = _gelu(x)
    assert gelu[:3].abs().max() < 1e-2
    assert gelu[3:7].tolist() == [0.0, 300.0, 65504.0, 65504.0]
