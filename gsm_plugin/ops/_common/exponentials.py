"""Exponentials, and a sine, of vectors of float32 numbers, within kernels that Numba compiles."""

import numpy as np

from gsm_plugin.ops._common.compiling import inlined
from gsm_plugin.ops._common.vectors import absolute, at_least, at_most, raise_exponent

LOG2_E, LOG_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_MINUS_LOG2_E, _MINUS_HALF_LOG2_E = np.float32(-1.4426950408889634), np.float32(-0.7213475204444817)
_ONE, _ZERO, _LOWEST, _HIGHEST = np.float32(1), np.float32(0), np.float32(-126), np.float32(126)
# 1.5 * 2**23: added to a number, it leaves the nearest integer in the lowest bits.
_TO_INTEGER = np.float32(12582912)
# (2**f - 1) / f for |f| <= 1/2, so that 2**f is off by 9.2e-8 at most, and exact at 0, where long sums decay.
_E0, _E1, _E2, _E3, _E4 = (
    np.float32(c) for c in (0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957,
                            0.001326472731307149)
)  # fmt: skip
# exp(x**2 / 2) erfc(x / sqrt(2)) / 2, off so little that `gelu` is by 3.4e-7 at most, and by 2.5e-7 of x > 0. Beyond
# _TAIL, what it is multiplied by is zero.
_G0, _G1, _G2, _G3, _G4, _G5, _G6, _G7, _G8, _G9, _G10 = (
    np.float32(c) for c in (0.4999998211860657, -0.39892956614494324, 0.24983970820903778, -0.13219042122364044,
                            0.06048303470015526, -0.023529453203082085, 0.007392802741378546, -0.0017433862667530775,
                            0.0002817103231791407, -2.729188054217957e-05, 1.1809298712250893e-06)
)  # fmt: skip
_TAIL = np.float32(13)
# log(1 + e) / e for 0 <= e <= 1, to 6e-9.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9 = (
    np.float32(c) for c in (1.0, -0.49999889731407166, 0.33329660665858154, -0.24951167404651642, 0.19661018252372742,
                            -0.15263274312019348, 0.10532950609922409, -0.05626952648162842, 0.019487686455249786,
                            -0.0031639994122087955)
)  # fmt: skip
# sin(2 pi r) / r for |r| <= 1/2 as a polynomial of r**2, so that the sine is off by 4.6e-7 at most.
_S0, _S1, _S2, _S3, _S4, _S5, _S6 = (
    np.float32(c) for c in (6.2831854820251465, -41.341697692871094, 81.60502624511719, -76.70155334472656,
                            42.01616668701172, -14.868610382080078, 3.199693202972412)
)  # fmt: skip


@inlined
def power_of_two(x):
    """2**x for x <= 126, of a vector or a number, and 2**-126 for less than -126; NaN stays NaN."""
    x = at_least(x, _LOWEST)
    shifted = x + _TO_INTEGER
    f = x - (shifted - _TO_INTEGER)
    power = _ONE + f * (_E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * _E4))))
    return raise_exponent(power, shifted)


@inlined
def sigmoid(x):
    """1 / (1 + exp(-x)) of a vector."""
    return _ONE / (_ONE + power_of_two(at_most(x * _MINUS_LOG2_E, _HIGHEST)))


@inlined
def softplus(x):
    """log(1 + exp(x)) of a vector."""
    e = power_of_two(absolute(x) * _MINUS_LOG2_E)
    log = _L5 + e * (_L6 + e * (_L7 + e * (_L8 + e * _L9)))
    log = e * (_L0 + e * (_L1 + e * (_L2 + e * (_L3 + e * (_L4 + e * log)))))
    return log + at_least(x, _ZERO)


@inlined
def gelu(x):
    """x times the probability that a normal number is less, of a vector."""
    a = at_most(absolute(x), _TAIL)
    tail = _G5 + a * (_G6 + a * (_G7 + a * (_G8 + a * (_G9 + a * _G10))))
    tail = _G0 + a * (_G1 + a * (_G2 + a * (_G3 + a * (_G4 + a * tail))))
    return at_least(x, _ZERO) - a * tail * power_of_two(a * a * _MINUS_HALF_LOG2_E)


@inlined
def sine_of_turns(x):
    """sin(2 pi x) of a vector, each between -2**21 and 2**21."""
    r = x - ((x + _TO_INTEGER) - _TO_INTEGER)
    square = r * r
    sine = _S3 + square * (_S4 + square * (_S5 + square * _S6))
    return r * (_S0 + square * (_S1 + square * (_S2 + square * sine)))
