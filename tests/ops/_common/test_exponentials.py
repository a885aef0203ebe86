import math

import numpy as np
import pytest
import torch

numba = pytest.importorskip('numba')
vectors = pytest.importorskip('gsm_plugin.ops._common.vectors', exc_type=ImportError)
exponentials = pytest.importorskip('gsm_plugin.ops._common.exponentials', exc_type=ImportError)


def applied(function, x):
    """A function of vectors, of each number of a row."""
    x = np.resize(np.float32(x), -(-len(x) // vectors.LANES) * vectors.LANES)

    @numba.njit
    def run(x, y):
        for i in range(0, len(x), vectors.LANES):
            vectors.store(y, i, function(vectors.load(x, i)))

    y = np.empty_like(x)
    run(x, y)
    return torch.from_numpy(x).double(), torch.from_numpy(y).double()


@pytest.mark.parametrize(
    'name, expected, span, relative',
    [
        ('power_of_two', torch.exp2, (-126, 126), 3e-7),
        # the last digit of an exponent of a hundred
        ('sigmoid', torch.sigmoid, (-80, 80), 6e-6),
        ('softplus', torch.nn.functional.softplus, (-80, 80), 6e-6),
    ],
)
def test_is_as_exact_as_float32(name, expected, span, relative):
    x, y = applied(getattr(exponentials, name), np.linspace(*span, 100_000))
    torch.testing.assert_close(y, expected(x), rtol=relative, atol=1e-30)


def test_gelu_is_off_by_the_last_digit_of_what_it_is_of():
    x, y = applied(exponentials.gelu, np.linspace(-20, 20, 100_000))
    expected = torch.nn.functional.gelu(x)
    assert ((y - expected).abs() <= 4e-7 * x.abs().clamp(min=1)).all()


def test_the_sine_takes_whole_turns_off():
    x, y = applied(exponentials.sine_of_turns, np.linspace(-60, 60, 100_000))
    torch.testing.assert_close(y, torch.sin(2 * math.pi * x), rtol=0, atol=6e-7)


@pytest.mark.parametrize('name', ['power_of_two', 'sigmoid', 'softplus', 'gelu'])
def test_nan_stays_and_far_numbers_give_finite_ones(name):
    _, y = applied(getattr(exponentials, name), [math.nan, -1e30, -200, 100])
    assert y[0].isnan()
    assert y[1:4].isfinite().all()
