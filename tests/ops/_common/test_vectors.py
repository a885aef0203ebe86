import numpy as np
import pytest

numba = pytest.importorskip('numba')
vectors = pytest.importorskip('gsm_plugin.ops._common.vectors', exc_type=ImportError)
load, store, spread, total = vectors.load, vectors.store, vectors.spread, vectors.total
at_least, raise_exponent = vectors.at_least, vectors.raise_exponent
LANES = vectors.LANES


def numbers():
    return np.random.default_rng(0).standard_normal((3, 2 * LANES)).astype(np.float32)


def test_loads_and_stores_at_any_element_and_nothing_beyond():
    @numba.njit
    def copy(source, target):
        store(target, 5, load(source, 2 * LANES + 3))

    source, target = numbers(), np.zeros(40, np.float32)
    copy(source, target)
    assert (target[5 : 5 + LANES] == source.ravel()[2 * LANES + 3 :][:LANES]).all()
    assert (target[:5] == 0).all()
    assert (target[5 + LANES :] == 0).all()


def test_operators_take_vectors_and_numbers():
    @numba.njit
    def compute(x, number):
        a, b = load(x, 0), load(x, LANES)
        store(x, 0, number * a - b * number + (a - number) * (number + b) - spread(number))

    x, number = numbers(), np.float32(0.75)
    a, b = x.ravel()[:LANES].copy(), x.ravel()[LANES : 2 * LANES].copy()
    compute(x, number)
    expected = number * a - b * number + (a - number) * (number + b) - number
    np.testing.assert_allclose(x.ravel()[:LANES], expected, rtol=1e-5, atol=1e-6)


def test_bounds_vectors_and_numbers_from_below_and_keeps_nan():
    @numba.njit
    def bound(x, lowest):
        store(x, 0, at_least(load(x, 0), lowest))
        x[LANES] = at_least(x[LANES], lowest)

    x = np.linspace(-4, 4, LANES + 1, dtype=np.float32)
    x[3], x[LANES] = np.nan, -9
    expected = np.where(np.isnan(x), x, np.maximum(x, -1))
    bound(x, np.float32(-1))
    np.testing.assert_array_equal(x, expected)


def test_raises_exponents_of_vectors_and_numbers():
    @numba.njit
    def scale(x, power):
        store(x, 0, raise_exponent(load(x, 0), load(power, 0)))
        x[LANES] = raise_exponent(x[LANES], power[LANES])

    x, power = numbers().ravel()[: LANES + 1], np.arange(-LANES, 1)
    expected = x * np.float32(2) ** power
    scale(x, (power + 1.5 * 2**23).astype(np.float32))
    np.testing.assert_array_equal(x, expected)


def test_adds_up_a_vector():
    @numba.njit
    def add(x):
        return total(load(x, 1))

    x = np.arange(LANES + 2, dtype=np.float32) ** 2
    assert add(x) == x[1:-1].sum()


@pytest.mark.parametrize('count', [0, 1, LANES - 1, LANES])
def test_loads_and_stores_some_and_leaves_the_others(count):
    @numba.njit
    def copy(source, target, count):
        vectors.store_some(target, 3, vectors.load_some(source, 5, count), LANES)
        vectors.store_some(target, LANES + 3, vectors.load(source, 1), count)

    source, target = numbers(), np.full(2 * LANES + 4, 9, np.float32)
    copy(source, target, count)
    expected = np.zeros(LANES)
    expected[:count] = source.ravel()[5 : 5 + count]
    assert (target[3 : LANES + 3] == expected).all()
    assert (target[LANES + 3 :][:count] == source.ravel()[1 : 1 + count]).all()
    assert (target[LANES + 3 + count :] == 9).all()


def test_divides_compares_and_takes_signs_off():
    @numba.njit
    def compute(x, result, one):
        a, b = load(x, 0), load(x, LANES)
        store(result, 0, vectors.at_most(one / vectors.absolute(a), one))
        store(result, LANES, vectors.larger(a, b))
        store(result, 2 * LANES, vectors.where_less(a, b, a, b))
        result[3 * LANES] = vectors.highest(a)
        vectors.prefetch(x, 10**6)

    x, result = numbers(), np.zeros(3 * LANES + 1, np.float32)
    compute(x, result, np.float32(1))
    a, b = x.ravel()[:LANES], x.ravel()[LANES : 2 * LANES]
    np.testing.assert_allclose(result[:LANES], np.minimum(1 / np.abs(a), 1), rtol=1e-6)
    assert (result[LANES : 2 * LANES] == np.maximum(a, b)).all()
    assert (result[2 * LANES : -1] == np.minimum(a, b)).all()
    assert result[-1] == a.max()
