"""In half precision the scan stays finite for inputs and step sizes of any size (properties, by hypothesis)."""

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gsm_plugin.ops import ScanParameters, bidirectional_scan
from gsm_plugin.ops.selective_scan.interface import selective_scan

B, D, N, R, WIDTH = 2, 3, 2, 1, 4
QUICK = settings(max_examples=60, deadline=None)

dtypes = st.sampled_from([torch.bfloat16, torch.float16])
# Powers of ten from below the smallest of float16 to beyond the largest of bfloat16, which are clipped to the types'.
magnitudes = st.lists(st.integers(-12, 40), min_size=5, max_size=5)
cases = {
    'dtype': dtypes,
    'powers': magnitudes,
    'decay': st.integers(-6, 6),
    'length': st.sampled_from([1, 2, 17, 40]),
    'seed': st.integers(0, 2**16),
    'backend': st.sampled_from(['torch', 'naive']),
}
LARGEST = {'powers': [40] * 5, 'decay': -6, 'length': 40, 'seed': 0, 'backend': 'torch'}
BY_NUMBA = {'backend': 'numba'}


def random_of_size(power, shape, dtype, generator):
    """Values of both signs around a power of ten, some of them zero, within the finite range of the type."""
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * 10.0**power
    values[torch.rand(shape, generator=generator) < 0.1] = 0
    largest = torch.finfo(dtype).max
    return values.clamp(-largest, largest).to(dtype)


@QUICK
@given(**cases, softplus=st.booleans())
@example(dtype=torch.bfloat16, **LARGEST, softplus=True)
@example(dtype=torch.float16, **LARGEST, softplus=True)
def test_the_selective_scan_is_finite(dtype, powers, decay, length, seed, backend, softplus):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(B, D, length), (B, D, length), (B, N, length), (B, N, length), (B, D, length)]
    u, delta, b, c, z = (
        random_of_size(power, shape, dtype, generator) for power, shape in zip(powers, shapes, strict=True)
    )
    if not softplus:
        delta = delta.abs()
    A = -torch.rand(D, N, generator=generator) * 10.0**decay
    u.requires_grad_()
    y = selective_scan(u, delta, A, b, c, torch.ones(D), z, torch.ones(D), delta_softplus=softplus, backend=backend)
    assert y.dtype == dtype
    assert torch.isfinite(y).all()
    if dtype == torch.bfloat16:
        # In float16 a gradient may be infinite: that is how a GradScaler learns that its scale is too large.
        assert torch.isfinite(torch.autograd.grad(y.float().mean(), u)[0]).all()


@QUICK
@given(**cases | {'backend': st.sampled_from(['numba', 'torch', 'naive'])}, weight=st.sampled_from([0.01, 1.0, 100.0]))
@example(dtype=torch.bfloat16, **LARGEST, weight=1000.0)
@example(dtype=torch.float16, **LARGEST, weight=1000.0)
@example(dtype=torch.bfloat16, **LARGEST | BY_NUMBA, weight=1000.0)
@example(dtype=torch.float16, **LARGEST | BY_NUMBA, weight=1000.0)
def test_the_bidirectional_scan_is_finite(dtype, powers, decay, length, seed, backend, weight):
    generator = torch.Generator().manual_seed(seed)
    x, z = (random_of_size(power, (B, length, D), dtype, generator) for power in powers[:2])
    shapes = [(2, D, WIDTH), (2, D), (2, R + 2 * N, D), (2, D, R), (2, D), (2, D, N), (2, D)]
    conv, bias, x_proj, dt_proj, dt_bias, A, skip = (
        weight * torch.randn(shape, generator=generator) for shape in shapes
    )
    parameters = ScanParameters(conv, bias, x_proj, dt_proj, dt_bias, -A.abs() * 10.0**decay, skip)
    y = bidirectional_scan(x, z, parameters, backend)
    assert y.dtype == dtype
    assert torch.isfinite(y).all()


@QUICK
@given(dtype=dtypes, seed=st.integers(0, 2**16))
def test_what_float16_can_hold_is_not_changed(dtype, seed):
    """The scan of half-precision inputs is that of the same numbers in float64, rounded."""
    generator = torch.Generator().manual_seed(seed)
    u, delta, b, c = (random_of_size(0, shape, dtype, generator) for shape in [(B, D, 9), (B, D, 9), *[(B, N, 9)] * 2])
    A = -torch.rand(D, N, generator=generator)
    actual = selective_scan(u, delta, A, b, c, delta_softplus=True)
    wide = (tensor.double() for tensor in (u, delta, A, b, c))
    expected = selective_scan(*wide, delta_softplus=True)
    torch.testing.assert_close(actual.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-4)


def test_infinity_is_taken_for_the_largest_and_nan_stays():
    u = torch.tensor([[[float('inf'), 1.0, float('nan')]]], dtype=torch.bfloat16)
    ones = torch.ones(1, 1, 3, dtype=torch.bfloat16)
    y = selective_scan(u, ones, -torch.ones(1, 1), ones, ones)
    assert torch.isfinite(y[..., :2]).all()
    assert torch.isnan(y[..., 2]).all()


def test_float32_and_float64_are_not_clipped():
    for dtype in (torch.float32, torch.float64):
        ones = torch.ones(1, 1, 1, dtype=dtype)
        assert selective_scan(1e6 * ones, ones, -ones[0], ones, ones).item() == 1e6
