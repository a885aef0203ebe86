"""Kernels of the bidirectional scan for a CPU, compiled by Numba, whose compiler makes vectors of loops over channels.

Everything is float32 and channels last. A direction is a first token and a sign: nothing is flipped. A kernel treats
some channels of a sequence, or some of its tokens, so that several threads can share the work in the same pieces,
however many they are.

A scan takes a block of `STEPS` steps at a time, and of it a tile of `LANES` channels, whose numbers are in the nearest
cache. Two of the states are in registers from the first step of the block to the last.
"""

import numpy as np
from numba import njit

from gsm_plugin.ops._common.vectors import LANES, at_least, load, raise_exponent, spread, store, total

# `_decay` rounds by adding and subtracting: nothing may change the order of sums.
_exact = njit(cache=True, nogil=True, error_model='numpy', fastmath={'contract', 'nsz'})

CHANNELS = 64
STEPS = 32
_LOG2_E = np.float32(1.4426950408889634)
_LOG_2 = np.float32(0.6931471805599453)
_ONE, _ZERO, _LOWEST = np.float32(1), np.float32(0), np.float32(-126)
# 1.5 * 2**23: added to a number, it leaves the nearest integer in the lowest bits.
_TO_INTEGER = np.float32(12582912)
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
def _decay(x):
    """2**x for x <= 0, of a vector or a number, and 2**-126 for less than -126; NaN stays NaN."""
    x = at_least(x, _LOWEST)
    shifted = x + _TO_INTEGER
    f = x - (shifted - _TO_INTEGER)
    power = _ONE + f * (_E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * _E4))))
    return raise_exponent(power, shifted)


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
    """(s + other) silu(z) of some tokens, all (l, d); y may be s."""
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
def scan(u, projected, dt_proj, dt_bias, A, D, limit, first, reverse, s, entries):
    """Scans some channels.

    Args:
        u: (l, d).
        projected: Steps before their projection, B and C side by side, (l, r + 2 n).
        dt_proj: (d, r).
        dt_bias: (d,).
        A: (d, n).
        D: (d,).
        limit: The projected step is clipped to it.
        first: The first of `CHANNELS` channels, or of those that there are.
        reverse: Whether the sequence runs from its end to its start.
        s: Result, (l, d); it may be u.
        entries: States before every `STEPS` steps, (ceil(l / STEPS), n, d), or (0, n, d) where nobody needs them.
    """
    last = min(first + CHANNELS, len(A))
    rates, taps, bias, skip = _of_tiles(dt_proj, dt_bias, A, D, first, last)
    h, B, C = np.zeros_like(rates), _zeros(rates.shape[1]), _zeros(rates.shape[1])
    raw, delta, x, y = _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES)
    for block in range(-(-len(u) // STEPS)):
        token, sign, steps = _tokens(len(u), block, reverse)
        _read_factors(projected, token, sign, steps, A.shape[1], B, C)
        for tile in range(len(h)):
            own, count = first + tile * LANES, min(LANES, last - first - tile * LANES)
            if len(entries) > 0:
                _write(h[tile], entries[block], 0, 1, A.shape[1], own, count)
            _read(u, token, sign, steps, own, count, x)
            _find_steps(projected, token, sign, steps, taps[tile], bias[tile], limit, raw, delta)
            for k in range(0, steps * LANES, LANES):
                u_k = load(x, k)
                store(x, k, load(delta, k) * u_k)
                store(y, k, load(skip, tile * LANES) * u_k)
            _recur(delta, x, B, C, steps, rates[tile], h[tile], y)
            _write(y, s, token, sign, steps, own, count)


@_exact
def _recur(delta, x, B, C, steps, rates, h, y):
    """Takes states (n, LANES) over some steps, and adds what they give to y; delta, x, y: (STEPS, LANES)."""
    for i in range(0, len(rates), 2):
        rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
        h_0, h_1 = load(h, i * LANES), load(h, (i + 1) * LANES)
        for k in range(steps):
            delta_k, x_k = load(delta, k * LANES), load(x, k * LANES)
            h_0 = _decay(delta_k * rate_0) * h_0 + x_k * B[k, i]
            h_1 = _decay(delta_k * rate_1) * h_1 + x_k * B[k, i + 1]
            store(y, k * LANES, load(y, k * LANES) + (h_0 * C[k, i] + h_1 * C[k, i + 1]))
        store(h, i * LANES, h_0)
        store(h, (i + 1) * LANES, h_1)


@_exact
def scan_bwd(
    u, projected, dt_proj, dt_bias, A, D, limit, entries, grad_s, first, reverse, grad_u, grad_raw, grad_A, grad_D,
    grad_BC,
):  # fmt: skip
    """Gradients of `scan` from that of s, (l, d), and the states that it kept.

    grad_raw is that of the projected steps, (l, d), grad_BC what these channels add to that of B and C, (l, 2 n).
    """
    last, n = min(first + CHANNELS, len(A)), A.shape[1]
    rates, taps, bias, skip = _of_tiles(dt_proj, dt_bias, A, D, first, last)
    even = rates.shape[1]
    carried, of_A, of_D = np.zeros_like(rates), np.zeros_like(rates), np.zeros_like(skip)
    h, B, C, of_B, of_C = np.zeros((even, LANES), np.float32), _zeros(even), _zeros(even), _zeros(even), _zeros(even)
    raw, delta, of_u, x, dy = _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES), _zeros(LANES)
    of_x, of_delta, decays, states = _zeros(LANES), _zeros(LANES), _zeros(2 * LANES), _zeros(2 * LANES)
    for block in range(len(entries) - 1, -1, -1):
        token, sign, steps = _tokens(len(u), block, reverse)
        _read_factors(projected, token, sign, steps, n, B, C)
        of_B[:], of_C[:] = _ZERO, _ZERO
        for tile in range(len(rates)):
            own, count = first + tile * LANES, min(LANES, last - first - tile * LANES)
            _read(entries[block], 0, 1, n, own, count, h)
            _read(u, token, sign, steps, own, count, of_u)
            _read(grad_s, token, sign, steps, own, count, dy)
            _find_steps(projected, token, sign, steps, taps[tile], bias[tile], limit, raw, delta)
            for k in range(0, steps * LANES, LANES):
                store(x, k, load(delta, k) * load(of_u, k))
                store(of_x, k, spread(_ZERO))
                store(of_delta, k, spread(_ZERO))
            for i in range(0, even, 2):
                _find_states(delta, x, B, steps, i, rates[tile], h, decays, states)
                _recur_bwd(
                    delta, x, B, C, dy, decays, states, steps, i, rates[tile],
                    carried[tile], of_A[tile], of_B, of_C, of_x, of_delta,
                )  # fmt: skip
            skip_tile, of_D_tile = load(skip, tile * LANES), load(of_D, tile * LANES)
            for k in range(0, steps * LANES, LANES):
                u_k, dy_k, of_x_k = load(of_u, k), load(dy, k), load(of_x, k)
                of_D_tile = of_D_tile + dy_k * u_k
                store(of_delta, k, load(of_delta, k) * _LOG_2 + of_x_k * u_k)
                store(of_u, k, of_x_k * load(delta, k) + skip_tile * dy_k)
            store(of_D, tile * LANES, of_D_tile)
            _pass_through_softplus(raw, of_delta, steps, limit)
            _write(of_u, grad_u, token, sign, steps, own, count)
            _write(of_delta, grad_raw, token, sign, steps, own, count)
        for k in range(steps):
            for i in range(n):
                grad_BC[token + sign * k, i], grad_BC[token + sign * k, n + i] = of_B[k, i], of_C[k, i]
    for c in range(last - first):
        grad_D[first + c] = of_D[c // LANES, c % LANES]
        for i in range(n):
            grad_A[first + c, i] = of_A[c // LANES, i, c % LANES]


@_exact
def _find_states(delta, x, B, steps, i, rates, h, decays, states):
    """Decays and states before each step of two states from the i-th on, both (STEPS, 2 LANES)."""
    rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
    h_0, h_1 = load(h, i * LANES), load(h, (i + 1) * LANES)
    for k in range(steps):
        delta_k, x_k = load(delta, k * LANES), load(x, k * LANES)
        decay_0, decay_1 = _decay(delta_k * rate_0), _decay(delta_k * rate_1)
        store(decays, 2 * k * LANES, decay_0)
        store(decays, (2 * k + 1) * LANES, decay_1)
        store(states, 2 * k * LANES, h_0)
        store(states, (2 * k + 1) * LANES, h_1)
        h_0 = decay_0 * h_0 + x_k * B[k, i]
        h_1 = decay_1 * h_1 + x_k * B[k, i + 1]


@_exact
def _recur_bwd(
    delta, x, B, C, dy, decays, states, steps, i, rates, carried, of_A, of_B, of_C, of_x, of_delta
):  # fmt: skip
    """Takes the gradients of two states back over some steps, and adds what they give to those of all else.

    Those of steps and rates are in units of the logarithm of two.
    """
    rate_0, rate_1 = load(rates, i * LANES), load(rates, (i + 1) * LANES)
    g_0, g_1 = load(carried, i * LANES), load(carried, (i + 1) * LANES)
    of_rate_0, of_rate_1 = load(of_A, i * LANES), load(of_A, (i + 1) * LANES)
    for k in range(steps - 1, -1, -1):
        delta_k, x_k, dy_k = load(delta, k * LANES), load(x, k * LANES), load(dy, k * LANES)
        decay_0, decay_1 = load(decays, 2 * k * LANES), load(decays, (2 * k + 1) * LANES)
        before_0, before_1 = load(states, 2 * k * LANES), load(states, (2 * k + 1) * LANES)
        of_C[k, i] += total((decay_0 * before_0 + x_k * B[k, i]) * dy_k)
        of_C[k, i + 1] += total((decay_1 * before_1 + x_k * B[k, i + 1]) * dy_k)
        g_0, g_1 = g_0 + dy_k * C[k, i], g_1 + dy_k * C[k, i + 1]
        of_B[k, i] += total(g_0 * x_k)
        of_B[k, i + 1] += total(g_1 * x_k)
        store(of_x, k * LANES, load(of_x, k * LANES) + (g_0 * B[k, i] + g_1 * B[k, i + 1]))
        # of the states before, and then of the exponents
        g_0, g_1 = g_0 * decay_0, g_1 * decay_1
        of_0, of_1 = g_0 * before_0, g_1 * before_1
        store(of_delta, k * LANES, load(of_delta, k * LANES) + (of_0 * rate_0 + of_1 * rate_1))
        of_rate_0, of_rate_1 = of_rate_0 + of_0 * delta_k, of_rate_1 + of_1 * delta_k
    store(carried, i * LANES, g_0)
    store(carried, (i + 1) * LANES, g_1)
    store(of_A, i * LANES, of_rate_0)
    store(of_A, (i + 1) * LANES, of_rate_1)


@_exact
def _zeros(columns):
    """For every step of a block some numbers."""
    return np.zeros((STEPS, columns), np.float32)


@_exact
def _of_tiles(dt_proj, dt_bias, A, D, first, last):
    """Parameters of some channels by tiles, zero beyond the last channel.

    Returns:
        Rates of decay in units of the logarithm of two, (tiles, n, LANES), n made even by a zero; `dt_proj`,
        (tiles, r, LANES); `dt_bias` and `D`, (tiles, LANES).
    """
    tiles, n, rank = -(-(last - first) // LANES), A.shape[1], dt_proj.shape[1]
    rates, taps = np.zeros((tiles, n + n % 2, LANES), np.float32), np.zeros((tiles, rank, LANES), np.float32)
    bias, skip = np.zeros((tiles, LANES), np.float32), np.zeros((tiles, LANES), np.float32)
    for c in range(last - first):
        tile, j = c // LANES, c % LANES
        bias[tile, j], skip[tile, j] = dt_bias[first + c], D[first + c]
        for i in range(n):
            rates[tile, i, j] = _LOG2_E * A[first + c, i]
        for i in range(rank):
            taps[tile, i, j] = dt_proj[first + c, i]
    return rates, taps, bias, skip


@_exact
def _tokens(length, block, reverse):
    """The first token of a block, the way to the next one, and how many there are."""
    start = block * STEPS
    steps = min(STEPS, length - start)
    return (length - 1 - start, -1, steps) if reverse else (start, 1, steps)


@_exact
def _read(rows, row, sign, steps, own, count, tile):
    """Copies some channels of some rows (l, d) to (steps, LANES), with zeros beyond them."""
    for k in range(steps):
        source = row + sign * k
        if count == LANES:
            store(tile, k * LANES, load(rows, source * rows.shape[1] + own))
        else:
            for j in range(LANES):
                tile[k, j] = rows[source, own + j] if j < count else _ZERO


@_exact
def _write(tile, rows, row, sign, steps, own, count):
    """Copies (steps, LANES) to where `_read` finds it."""
    for k in range(steps):
        target = row + sign * k
        if count == LANES:
            store(rows, target * rows.shape[1] + own, load(tile, k * LANES))
        else:
            for j in range(count):
                rows[target, own + j] = tile[k, j]


@_exact
def _read_factors(projected, token, sign, steps, n, B, C):
    """B and C of some tokens of (l, r + 2 n), each (STEPS, n)."""
    first = projected.shape[1] - 2 * n
    for k in range(steps):
        t = token + sign * k
        for i in range(n):
            B[k, i], C[k, i] = projected[t, first + i], projected[t, first + n + i]


@_exact
def _find_steps(projected, token, sign, steps, taps, bias, limit, raw, delta):
    """Steps of a block before and after the softplus, (STEPS, LANES); taps (r, LANES), bias (LANES,)."""
    for k in range(steps):
        step = load(bias, 0)
        for i in range(len(taps)):
            step = step + load(taps, i * LANES) * projected[token + sign * k, i]
        store(raw, k * LANES, step)
    # one long loop, of which the compiler makes vectors
    all_raw, all_delta = raw.reshape(-1), delta.reshape(-1)
    for m in range(steps * LANES):
        r = limit if all_raw[m] > limit else all_raw[m]
        all_raw[m] = -limit if r < -limit else r
        all_delta[m] = _softplus(all_raw[m])


@_exact
def _pass_through_softplus(raw, grad, steps, limit):
    """Turns gradients of steps into those of raw steps, both (STEPS, LANES); what was clipped has none."""
    all_raw, all_grad = raw.reshape(-1), grad.reshape(-1)
    for m in range(steps * LANES):
        all_grad[m] = _ZERO if abs(all_raw[m]) >= limit else all_grad[m] * _sigmoid(all_raw[m])
