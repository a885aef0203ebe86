"""Kernels of the bidirectional scan for a CPU, compiled by Numba, whose compiler makes vectors of loops over channels.

Everything is float32 and channels last. A direction is a first token and a sign: nothing is flipped. A kernel treats
some channels of a sequence, or some of its tokens, so that several threads can share the work in the same pieces,
however many they are.
"""

import numpy as np
from numba import njit

# `_power_of_two` rounds by adding and subtracting: these may not change the order of sums.
_exact = njit(cache=True, nogil=True, error_model='numpy', fastmath={'contract', 'nsz'})
# These may, so that a sum over channels becomes one of vectors.
_reordering = njit(cache=True, nogil=True, error_model='numpy', fastmath={'contract', 'nsz', 'reassoc'})

CHANNELS = 32
STEPS = 32
_LOG2_E = np.float32(1.4426950408889634)
_LOG_2 = np.float32(0.6931471805599453)
_ONE, _ZERO, _LOWEST = np.float32(1), np.float32(0), np.float32(-126)
# 1.5 * 2**23: added to a number, it leaves the nearest integer in the lowest bits.
_TO_INTEGER, _MANTISSA = np.float32(12582912), np.int32(23)
# (2**f - 1) / f for |f| <= 1/2, so that 2**f is off by 9.2e-8 at most, and exact at 0, where long sums decay.
_E0, _E1, _E2, _E3, _E4 = (
    np.float32(c) for c in (0.6931470036506653, 0.24022242426872253, 0.05550733581185341, 0.009671512991189957,
                            0.001326472731307149)
)  # fmt: skip
# log(1 + e) / e for 0 <= e <= 1, to 6e-9.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8, _L9 = (
    np.float32(c) for c in (1.0, -0.49999889731407166, 0.33329665660858154, -0.24951167404651642, 0.19661018252372742,
                            -0.15263274312019348, 0.10532950609922409, -0.05626952648162842, 0.019487686455249786,
                            -0.0031639994122087955)
)  # fmt: skip


@_exact
def _power_of_two(x):
    """2**x for x in [-126, 126]."""
    shifted = x + _TO_INTEGER
    f = x - (shifted - _TO_INTEGER)
    power = _ONE + f * (_E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * _E4))))
    # the integer goes into the exponent
    exponent = np.float32(shifted).view(np.int32) << _MANTISSA
    return np.int32(np.float32(power).view(np.int32) + exponent).view(np.float32)


@_exact
def _decay(x):
    """2**x for x <= 0, and 2**-126 for less; NaN stays NaN."""
    return _power_of_two(_LOWEST if x < _LOWEST else x)


@_exact
def _sigmoid(x):
    e = _decay(-_LOG2_E * abs(x))
    return (_ONE if x > _ZERO else e) / (_ONE + e)


@_exact
def _softplus(x):
    e = _decay(-_LOG2_E * abs(x))
    log = _L5 + e * (_L6 + e * (_L7 + e * (_L8 + e * _L9)))
    log = e * (_L0 + e * (_L1 + e * (_L2 + e * (_L3 + e * (_L4 + e * log)))))
    return log + (x if x > _ZERO else _ZERO)


@_exact
def convolve(x, weight, bias, start, stop, reverse, u):
    """silu(conv(x)) of the tokens from start to stop: x and u (l, d), weight (width, d), bias (d,)."""
    for t in range(start, stop):
        _convolve_token(x, weight, bias, t, reverse, u[t])
        for j in range(u.shape[1]):
            u[t, j] *= _sigmoid(u[t, j])


@_exact
def convolve_bwd_silu(x, weight, bias, grad_u, start, stop, reverse, grad_c):
    """The gradient of conv(x), (l, d), from that of `convolve`."""
    for t in range(start, stop):
        c = grad_c[t]
        _convolve_token(x, weight, bias, t, reverse, c)
        for j in range(len(c)):
            s = _sigmoid(c[j])
            c[j] = grad_u[t, j] * s * (_ONE + c[j] * (_ONE - s))


@_exact
def convolve_bwd(x, weight, grad_c, start, stop, reverse, grad_x, grad_weight):
    """Adds some tokens' gradients, (l, d), and those of the weight that they cause, (width, d)."""
    length, width = len(x), len(weight)
    for t in range(start, stop):
        for k in range(width):
            offset = width - 1 - k if reverse else k + 1 - width
            if 0 <= t - offset < length:
                for j in range(x.shape[1]):
                    grad_x[t, j] += weight[k, j] * grad_c[t - offset, j]
            if 0 <= t + offset < length:
                for j in range(x.shape[1]):
                    grad_weight[k, j] += x[t + offset, j] * grad_c[t, j]


@_exact
def _convolve_token(x, weight, bias, t, reverse, c):
    width, sign = len(weight), 1 if reverse else -1
    if width == 4 and 3 <= t < len(x) - 3:
        # the usual one, in a single pass; the last tap is that of the token itself
        x0, x1, x2, x3 = x[t + 3 * sign], x[t + 2 * sign], x[t + sign], x[t]
        for j in range(len(c)):
            c[j] = bias[j] + weight[0, j] * x0[j] + weight[1, j] * x1[j] + weight[2, j] * x2[j] + weight[3, j] * x3[j]
        return
    c[:] = bias
    for k in range(width):
        source = t + sign * (width - 1 - k)
        if 0 <= source < len(x):
            for j in range(len(c)):
                c[j] += weight[k, j] * x[source, j]


@_exact
def gate(s, other, z, start, stop, y):
    """(s + other) silu(z) of some tokens, all (l, d)."""
    for t in range(start, stop):
        for j in range(s.shape[1]):
            y[t, j] = (s[t, j] + other[t, j]) * z[t, j] * _sigmoid(z[t, j])


@_exact
def gate_bwd(s, other, z, grad_y, start, stop, grad_s, grad_z):
    """Gradients of `gate`; that of `other` is that of s."""
    for t in range(start, stop):
        for j in range(s.shape[1]):
            sigmoid = _sigmoid(z[t, j])
            grad_s[t, j] = grad_y[t, j] * z[t, j] * sigmoid
            grad_z[t, j] = grad_y[t, j] * (s[t, j] + other[t, j]) * sigmoid * (_ONE + z[t, j] * (_ONE - sigmoid))


@_exact
def scan(u, dt, dt_proj, dt_bias, A, BC, D, limit, first, reverse, s, entries):
    """Scans some channels.

    Args:
        u: (l, d).
        dt: (l, r).
        dt_proj: (d, r).
        dt_bias: (d,).
        A: (d, n).
        BC: B and C side by side, (l, 2 n).
        D: (d,).
        limit: The projected step is clipped to it.
        first: The first of `CHANNELS` channels, or of those that there are.
        reverse: Whether the sequence runs from its end to its start.
        s: Result, (l, d).
        entries: States before every `STEPS` steps, (ceil(l / STEPS), n, d), or (0, n, d) where nobody needs them.
    """
    length, d = u.shape
    last = min(first + CHANNELS, d)
    rates, h = _LOG2_E * _rows_of_channels(A, first, last), np.zeros((A.shape[1], CHANNELS), np.float32)
    delta, x, y = _zeros(), _zeros(), _zeros()
    taps, bias = _rows_of_channels(dt_proj, first, last), _zeros()
    bias[: last - first] = dt_bias[first:last]
    decay, skip = np.zeros_like(h), D[first:last]
    for step in range(length):
        t = length - 1 - step if reverse else step
        if step % STEPS == 0 and len(entries) > 0:
            entries[step // STEPS, :, first:last] = h[:, : last - first]
        _raw_steps(dt, t, taps, bias, limit, delta)
        u_t, s_t = u[t, first:last], s[t, first:last]
        for j in range(len(u_t)):
            delta[j] = _softplus(delta[j])
            x[j] = delta[j] * u_t[j]
            y[j] = skip[j] * u_t[j]
        # in a loop of their own, for which there are enough registers
        for i in range(len(h)):
            for j in range(CHANNELS):
                decay[i, j] = _decay(delta[j] * rates[i, j])
        for i in range(len(h)):
            b, c = BC[t, i], BC[t, len(h) + i]
            for j in range(CHANNELS):
                state = decay[i, j] * h[i, j] + x[j] * b
                h[i, j] = state
                y[j] += c * state
        for j in range(len(s_t)):
            s_t[j] = y[j]


@_exact
def _zeros():
    return np.zeros(CHANNELS, np.float32)


@_exact
def _rows_of_channels(x, first, last):
    """Some rows of (d, n) as columns, (n, CHANNELS), zero beyond the last."""
    columns = np.zeros((x.shape[1], CHANNELS), np.float32)
    for i in range(len(columns)):
        for j in range(last - first):
            columns[i, j] = x[first + j, i]
    return columns


@_exact
def _raw_steps(dt, t, taps, bias, limit, raw):
    """Steps of a token before the softplus, (CHANNELS,): dt (l, r), taps (r, CHANNELS)."""
    # an assignment of slices would look for overlaps, which takes longer than the loop
    for j in range(CHANNELS):
        raw[j] = bias[j]
    for i in range(len(taps)):
        step = dt[t, i]
        for j in range(CHANNELS):
            raw[j] += step * taps[i, j]
    for j in range(CHANNELS):
        r = limit if raw[j] > limit else raw[j]
        raw[j] = -limit if r < -limit else r


@_exact
def _states(u, dt, taps, bias, limit, BC, rates, entry, first, last, start, stop, reverse, raw, delta, decay, h):
    """Decays, and states after an entry, of the steps of a block: (STEPS, n, CHANNELS) and (STEPS + 1, n, CHANNELS)."""
    length, n = len(u), len(rates)
    x = _zeros()
    h[0, :, : last - first] = entry[:, first:last]
    for step in range(start, stop):
        t, k = length - 1 - step if reverse else step, step - start
        _raw_steps(dt, t, taps, bias, limit, raw[k])
        u_t, delta_k, raw_k, decay_k, before, after = u[t, first:last], delta[k], raw[k], decay[k], h[k], h[k + 1]
        for j in range(len(u_t)):
            delta_k[j] = _softplus(raw_k[j])
            x[j] = delta_k[j] * u_t[j]
        for i in range(n):
            for j in range(CHANNELS):
                decay_k[i, j] = _decay(delta_k[j] * rates[i, j])
        for i in range(n):
            b = BC[t, i]
            for j in range(CHANNELS):
                after[i, j] = decay_k[i, j] * before[i, j] + x[j] * b


@_reordering
def scan_bwd(
    u, dt, dt_proj, dt_bias, A, BC, D, limit, entries, grad_s, first, reverse, grad_u, grad_raw, grad_A, grad_D, grad_BC
):
    """Gradients of `scan` from that of s, (l, d), and the states that it kept.

    grad_raw is that of the projected steps, (l, d), grad_BC what these channels add to that of B and C, (l, 2 n).
    """
    length, d = u.shape
    last, n = min(first + CHANNELS, d), A.shape[1]
    count = last - first
    rates, of_A = _LOG2_E * _rows_of_channels(A, first, last), np.zeros((n, CHANNELS), np.float32)
    decay, h = np.zeros((STEPS, n, CHANNELS), np.float32), np.zeros((STEPS + 1, n, CHANNELS), np.float32)
    delta, carried = np.zeros((STEPS, CHANNELS), np.float32), np.zeros((n, CHANNELS), np.float32)
    raw, taps, bias = np.zeros((STEPS, CHANNELS), np.float32), _rows_of_channels(dt_proj, first, last), _zeros()
    bias[:count], skip = dt_bias[first:last], D[first:last]
    x, dy, of_x, of_delta, of_D = _zeros(), _zeros(), _zeros(), _zeros(), _zeros()
    for block in range(len(entries) - 1, -1, -1):
        start, stop = block * STEPS, min(block * STEPS + STEPS, length)
        _states(
            u, dt, taps, bias, limit, BC, rates, entries[block], first, last, start, stop, reverse, raw, delta, decay, h
        )
        for step in range(stop - 1, start - 1, -1):
            t, k = length - 1 - step if reverse else step, step - start
            u_t, dy_t, delta_k, raw_k, decay_k = u[t, first:last], grad_s[t, first:last], delta[k], raw[k], decay[k]
            before, after = h[k], h[k + 1]
            of_u, of_raw = grad_u[t, first:last], grad_raw[t, first:last]
            for j in range(len(u_t)):
                x[j] = delta_k[j] * u_t[j]
                dy[j] = dy_t[j]
                of_x[j] = of_delta[j] = _ZERO
            for i in range(n):
                b, c, of_B, of_C = BC[t, i], BC[t, n + i], _ZERO, _ZERO
                for j in range(CHANNELS):
                    g = carried[i, j] + c * dy[j]
                    of_C += after[i, j] * dy[j]
                    of_B += g * x[j]
                    of_x[j] += g * b
                    # the gradient of the state before
                    g *= decay_k[i, j]
                    carried[i, j] = g
                    # of the exponent, in units of the logarithm of two
                    g *= before[i, j]
                    of_delta[j] += g * rates[i, j]
                    of_A[i, j] += g * delta_k[j]
                grad_BC[t, i], grad_BC[t, n + i] = of_B, of_C
            for j in range(len(u_t)):
                of_step = of_delta[j] * _LOG_2 + of_x[j] * u_t[j]
                of_raw[j] = _ZERO if abs(raw_k[j]) >= limit else of_step * _sigmoid(raw_k[j])
                of_u[j] = of_x[j] * delta_k[j] + skip[j] * dy[j]
                of_D[j] += dy[j] * u_t[j]
    grad_A[first:last] = of_A[:, :count].T
    grad_D[first:last] = of_D[:count]
